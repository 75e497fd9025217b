"""The order demo: every command does what its document says, in separate terminals, on both brokers."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pika
import pytest

from examples.orders.__main__ import COMMANDS
from tests.support.embedded import EmbeddedNode
from tests.support.processes import Process, wait_until
from tests.support.server import running

PROJECT = Path(__file__).parents[2]
LESSONS = {
    1: ["no error, and order 1 is gone", "confirmed, order 2 is in it", "Unroutable, order 3 came back"],
    2: ["connected is True", "cut off (StreamLostError)"],
    3: ["W1 | lost the broker", "shop | lost the broker", "6 of 6 orders processed"],
    4: ["AMQPConnectorStackTimeout", "blocked_connection_timeout=1: ConnectionBlockedTimeout"],
    5: ["20 came", "acks in MainThread, as another thread asked it to"],
    6: [
        "x-match=any | {'format': 'pdf', 'country': 'FR'}: arrived",
        "x-match=all | {'format': 'pdf', 'country': 'FR'}: not routed here",
    ],
    7: ["bound with order got ['order']", "alternate exchange got ['odrer']"],
    8: ["dead letters | order 1, order 2"],
    9: ["got fraud alert, invoice, newsletter"],
    10: ["got 20, in order"],
    11: ["gives it back after delivery 3; x-delivery-limit is 2", "got ['poison']"],
    12: ["worker | is told by Basic.Cancel"],
    13: ["nacked 7 times", "got all 10"],
}
"""The texts that each lesson must print, on either broker."""


class Terminals:
    """Commands of the demo that share a broker, each with its own output."""

    def __init__(self, directory: Path, url: str = "") -> None:
        self.url = url
        self._directory = directory
        inherited = {name: value for name, value in os.environ.items() if name != "RABBITMQ_URL"}
        self._environment = inherited | {"DATA_DIR": str(directory)} | ({"RABBITMQ_URL": url} if url else {})
        self._started: list[Process] = []

    def run(self, *words: str) -> Process:
        """Start `python -m examples.orders WORDS`; does not wait."""
        log = self._directory / f"{len(self._started)}.log"
        command = [sys.executable, "-m", "examples.orders", *words]
        self._started.append(Process(command, log, self._environment, PROJECT))
        self._started[-1].start()
        return self._started[-1]

    def output(self, *words: str, status: int = 0) -> str:
        """Return the output of a command that ends without an interrupt."""
        process = self.run(*words)
        wait_until(lambda: not process.running, 90, f"the end of {words}")
        assert process.returncode == status, process.output()
        assert "Traceback" not in process.output()
        return process.output()

    def interrupt(self, process: Process) -> None:
        """Ctrl+C; it must end in order."""
        process.signal(signal.SIGINT)
        wait_until(lambda: not process.running, 15, "the end after Ctrl+C")
        assert process.returncode == 0, process.output()
        assert "Traceback" not in process.output()
        assert "Stopped." in process.output()

    def address(self) -> str:
        """The URL of the broker that they share."""
        return self.url or (self._directory / "orders/addresses").read_text().split()[0]

    def close(self) -> None:
        for process in self._started:
            if process.running:
                process.stop()


@pytest.fixture(params=["embedded", "rabbitmq"])
def terminals(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminals]:
    """Terminals without RABBITMQ_URL, and with it; the commands in them end with the test."""
    url = request.getfixturevalue("rabbitmq").amqp_url if request.param == "rabbitmq" else ""
    some = Terminals(tmp_path, url)
    yield some
    some.close()


def said(output: str, who: str) -> list[str]:
    """Return the lines that one participant printed."""
    return re.findall(rf"^ *{re.escape(who)} \| (.*)$", output, re.MULTILINE)


def lesson(output: str, number: int) -> str:
    """Return the output of a lesson."""
    found = re.search(rf"^== Lesson {number}: .*?(?=^== |\Z)", output, re.MULTILINE | re.DOTALL)
    assert found, output
    return found[0]


def test_all_of_it_in_one_terminal(terminals: Terminals) -> None:
    everything = terminals.output()  # takes its time, so all is asked of one run
    demo = everything.partition("== Lesson 1")[0]

    ten_orders_went_their_ways(demo)
    the_fast_worker_did_more(demo)
    the_client_had_its_answers(demo)
    for number, sentences in LESSONS.items():
        for sentence in sentences:
            assert sentence in lesson(everything, number)
    the_broker = "RabbitMQ 3." if terminals.url else "replicates on RabbitMQ only: this is the embedded one"
    assert the_broker in lesson(everything, 11)


def ten_orders_went_their_ways(demo: str) -> None:
    orders = {re.match(r"order (\S+),", line)[1] for line in said(demo, "shop")}  # type: ignore[index]
    worked = said(demo, "W1") + said(demo, "W2")
    failed = {order for order in orders if order.endswith("-10")}

    assert len(orders) == 10
    assert {line.split()[1].strip(";") for line in worked if line.startswith("ack")} == orders - failed
    assert [line for line in worked if "card expired" in line]
    assert {
        line.split("(")[1].strip(")") for line in said(demo, "notification") if "customer" in line
    } == orders - failed
    assert sum("sold so far" in line for line in said(demo, "analytics")) == 9
    logged = {line.split()[0] for line in said(demo, "logs") if "matches" in line}
    assert logged == {"order.created", "order.completed", "order.failed"}
    assert f'"{failed.pop()}"' in said(demo, "orders.failed")[1]
    assert said(demo, "orders.failed")[1].endswith("rejected from queue orders")


def the_fast_worker_did_more(demo: str) -> None:
    first, second = (sum("takes" in line for line in said(demo, name)) for name in ("W1", "W2"))
    assert first > second > 0


def the_client_had_its_answers(demo: str) -> None:
    answers = [json.loads(line.partition(": ")[2]) for line in said(demo, "rpc-client") if "answer" in line]
    assert answers == [{"stock": 12}, {"stock": 0}, {"stock": None}]


def test_each_service_works_in_a_terminal_of_its_own(terminals: Terminals) -> None:
    services = {name: terminals.run(name) for name in ("worker", "notification", "analytics", "logs")}
    orders = [line.split(",")[0].split()[1] for line in said(terminals.output("produce"), "shop")]

    wait_until(lambda: "order.failed" in services["logs"].output(), 30, "the last order")
    wait_until(lambda: services["notification"].output().count("to the customer") >= 9, 20, "nine notifications")

    for service in services.values():
        terminals.interrupt(service)
    assert [line.split()[1] for line in said(services["worker"].output(), "W1") if "takes" in line] == orders
    assert "sold so far" in services["analytics"].output()
    assert f"order.completed {orders[0]}" in services["logs"].output()


def test_another_worker_takes_the_order_of_a_stopped_worker(terminals: Terminals) -> None:
    terminals.output("produce")
    first = terminals.run("worker", "W1")
    wait_until(lambda: "takes" in first.output(), 30, "the first order")
    terminals.interrupt(first)
    left = said(first.output(), "W1")[-1].split()[1]

    second, third = terminals.run("worker", "W2"), terminals.run("worker", "W3")

    def both() -> str:
        return second.output() + third.output()

    wait_until(lambda: f"{left}, which another worker left" in both(), 30, "the order that was left")
    wait_until(lambda: "card expired" in both(), 30, "the last order")
    taken = re.findall(r"takes (\S+?),?\s", both())
    assert len(taken) == len(set(taken))


def test_rpc_in_two_terminals(terminals: Terminals) -> None:
    server = terminals.run("rpc-server")

    wait_until(lambda: "waits for" in server.output(), 30, "the server being there")
    with pika.BlockingConnection(pika.URLParameters(terminals.address())) as connection:
        for body in (b'{"item": "mouse"}', b"[]", b"\xff"):  # no reply_to, no item, no JSON
            connection.channel().basic_publish("", "rpc.inventory", body)

    answered = terminals.output("rpc-client")

    assert "answer to" in answered
    assert "keyboard: 12 -> reply_to" in server.output()
    assert server.output().count("nack, not to be requeued") == 3
    terminals.interrupt(server)


def test_malformed_orders_do_not_stop_a_worker(terminals: Terminals) -> None:
    worker = terminals.run("worker")
    wait_until(lambda: "waits for" in worker.output(), 30, "the worker being there")
    with pika.BlockingConnection(pika.URLParameters(terminals.address())) as connection:
        for body in (b"{nonsense", b"[1]", b'{"order": 1}'):
            connection.channel().basic_publish("orders.direct", "order", body)

    wait_until(lambda: worker.output().count("nack, not to be requeued") == 3, 30, "all of them")
    assert "JSONDecodeError" in worker.output()


def test_an_exchange_of_another_type_is_a_one_line_error(terminals: Terminals) -> None:
    keeper = terminals.run("notification")
    wait_until(lambda: "waits for" in keeper.output(), 30, "the broker being there")
    with pika.BlockingConnection(pika.URLParameters(terminals.address())) as connection:
        channel = connection.channel()
        channel.exchange_delete("logs.topic")
        channel.exchange_declare("logs.topic", "direct", durable=True)

        said = terminals.output("produce", status=1)

        channel.exchange_delete("logs.topic")
    assert "inequivalent arg 'type' for exchange 'logs.topic'" in said
    assert "Delete that queue or exchange" in said
    terminals.interrupt(keeper)


def test_the_embedded_broker_ends_with_its_last_user(tmp_path: Path) -> None:
    with closing(Terminals(tmp_path)) as terminals:
        terminals.output("produce")

        wait_until(lambda: not _answers(terminals.address()), 15, "the end of the broker")

        said = terminals.output("rpc-client", status=1)  # and it comes back
        assert "Nobody answered in 5 s: start `python -m examples.orders rpc-server`." in said
        worker = terminals.run("worker")
        wait_until(lambda: "takes" in worker.output(), 30, "an order from the time before")


def _answers(url: str) -> bool:
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
    except pika.exceptions.AMQPConnectionError:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("amqp://guest:secret@127.0.0.1:1/", "Cannot use the broker at 127.0.0.1:1/: no answer."),
        ("http://localhost", "Cannot use the broker at http://localhost: "),
    ],
)
def test_a_missing_broker_is_a_one_line_error(tmp_path: Path, url: str, sentence: str) -> None:
    with closing(Terminals(tmp_path, url)) as terminals:
        said = terminals.output("worker", status=1)

    assert said.startswith(sentence)
    assert said.count("\n") == 1
    assert "secret" not in said


def test_the_document_names_every_command() -> None:
    document = (PROJECT / "docs/EXAMPLES.md").read_text()
    assert set(re.findall(r"`python -m examples\.orders ([\w-]+)", document)) == set(COMMANDS)


def test_a_service_outlives_its_broker_and_still_ends_by_ctrl_c(tmp_path: Path) -> None:
    node = EmbeddedNode(tmp_path / "broker")
    with running(node), closing(Terminals(tmp_path, node.amqp_url)) as terminals:
        worker = terminals.run("worker")
        wait_until(lambda: "waits for" in worker.output(), 30, "the worker being there")
        node.restart()
        wait_until(lambda: worker.output().count("waits for") == 2, 30, "the worker being back")
        node.stop()
        wait_until(lambda: worker.output().count("lost the broker") >= 3, 30, "the worker noticing")

        terminals.interrupt(worker)


def test_the_demo_ends_with_a_sentence_when_its_broker_has_gone_in_the_middle(tmp_path: Path) -> None:
    node = EmbeddedNode(tmp_path / "broker")
    with closing(Terminals(tmp_path, node.amqp_url)) as terminals:
        node.start()
        demo = terminals.run("demo")
        wait_until(lambda: demo.output().count("order.created") == 10, 30, "the orders being there")
        node.stop()

        wait_until(lambda: not demo.running, 15, "the end of the demo")

        assert demo.returncode == 1
        assert "Cannot use the broker at 127.0.0.1" in demo.output()
        assert "Traceback" not in demo.output()
    node.shutdown()
