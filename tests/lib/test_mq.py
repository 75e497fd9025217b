"""lib.mq does what its document says, on the embedded broker, RabbitMQ, Redis and memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lib import mq
from tests.conftest import BROKERS
from tests.lib.conftest import PROJECT, Terminals
from tests.support.embedded import EmbeddedNode
from tests.support.node import BrokerNode
from tests.support.processes import Process, wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.redis import RedisNode

WORKING = """
import signal
from lib.mq import Consumer

class Working(Consumer):
    def process(self, message):
        print("began", message["n"], flush=True)
        signal.pause()

Working(id="queue1", exchange="CTH").consume()
"""
FAILING = """
from lib.mq import Consumer

class Failing(Consumer):
    failed = set()
    def process(self, message):
        print("tried", message["n"], flush=True)
        if message["n"] == 1 and 1 not in self.failed:
            self.failed.add(1)
            raise ValueError("not today")

Failing(id="queue1", exchange="CTH").consume()
"""


@pytest.fixture
def here(terminals: Terminals, monkeypatch: pytest.MonkeyPatch) -> Terminals:
    """This process works in the directory, too."""
    monkeypatch.chdir(terminals.directory)
    return terminals


@pytest.fixture
def producer(queues: BrokerNode | RedisNode, here: Terminals) -> Iterator[mq.Producer]:
    """A producer of this process, with a queue "queue1" that collects from now on."""
    mq.Consumer(id="queue1", exchange="CTH").connection.release()
    one = mq.Producer(id="myProducerID", exchange="CTH")
    yield one
    one.connection.release()


def received(process: Process, word: str = "received") -> list[int]:
    """The numbers of the messages that a consumer printed, in its order."""
    return [int(n) for n in re.findall(rf"{word} \D*(\d+)", process.output())]


def test_one_id_shares_a_queue_and_every_id_gets_every_message(producer: mq.Producer, here: Terminals) -> None:
    first, second = here.mq("consumer", "queue1"), here.mq("consumer", "queue1")
    other = here.mq("consumer", "queue2")
    producer.produce({"n": 0})
    wait_until(lambda: received(first) + received(second), 30, "the first message")
    sent = [0]

    def all_had_some() -> bool:
        sent.append(len(sent))
        producer.produce({"n": sent[-1]})
        wait_until(lambda: sorted(received(first) + received(second)) == sent, 20, "each message once")
        return bool(len(received(first)) > 3 and len(received(second)) > 3 and len(received(other)) > 3)

    wait_until(all_had_some, 30, "everyone having a share")

    wait_until(lambda: received(other)[-1:] == sent[-1:], 20, "the other id having the last one")
    assert received(other) == list(range(received(other)[0], sent[-1] + 1))
    for consumer in (first, second, other):
        here.interrupt(consumer)


def test_the_commands_of_the_document(embedded: EmbeddedNode, here: Terminals) -> None:
    here.configure("rabbitmq", url=embedded.amqp_url)
    producer = here.mq("producer", "producer1")
    consumer = here.mq("consumer", "queue1")

    wait_until(lambda: len(received(consumer)) >= 2, 30, "messages")

    assert "producer1: sent message 1" in producer.output()
    assert f"queue1: received {{'msg': 'message {received(consumer)[0]} of producer1'}}" in consumer.output()
    for one in (producer, consumer):
        here.interrupt(one)
        assert one.output().endswith("Stopped.\n")


@pytest.mark.parametrize("queues", BROKERS, indirect=True)
def test_a_message_is_acknowledged_after_process(producer: mq.Producer, here: Terminals) -> None:
    consumer = here.run("-c", WORKING)
    producer.produce({"n": 1})
    wait_until(lambda: "began 1" in consumer.output(), 30, "process() being called")

    consumer.kill()

    again = here.mq("consumer", "queue1")
    wait_until(lambda: received(again) == [1], 30, "the message coming again")


def test_a_message_whose_process_fails_is_retried_after_the_others(producer: mq.Producer, here: Terminals) -> None:
    consumer = here.run("-c", FAILING)
    for number in (1, 2, 3):
        producer.produce({"n": number})

    wait_until(lambda: len(received(consumer, "tried")) == 4, 30, "the second try")

    assert received(consumer, "tried") == [1, 2, 3, 1]
    assert "ValueError('not today'); next attempt in 1 s" in consumer.output()


@pytest.mark.parametrize("queues", BROKERS, indirect=True)
def test_a_message_that_is_not_json_does_not_stop_a_consumer(
    producer: mq.Producer, queues: BrokerNode, here: Terminals
) -> None:
    consumer = here.mq("consumer", "queue1")
    with queues.connect() as connection:
        connection.channel().basic_publish("CTH", "", b"{nonsense")
    producer.produce({"n": 7})

    wait_until(lambda: received(consumer) == [7], 30, "the message behind it")

    assert "cannot process" in consumer.output()


def test_producer_and_consumer_continue_after_the_message_queue_was_down(
    producer: mq.Producer, queues: BrokerNode | RedisNode, here: Terminals
) -> None:
    consumer = here.mq("consumer", "queue1")
    producer.produce({"n": 1})
    wait_until(lambda: received(consumer) == [1], 30, "the first message")

    for number in (2, 3):  # once is not enough: what is mended once may break twice
        if isinstance(queues, RabbitNode):
            queues.close_connections()  # a restart takes it ten seconds
        else:
            queues.stop()
            queues.start()
        producer.produce({"n": number})
        wait_until(lambda: set(received(consumer)) == {*range(1, number + 1)}, 30, "going on")  # noqa: B023

    assert "queue1: lost " in consumer.output()


def test_memory_is_a_message_queue_for_the_threads_of_a_process(here: Terminals) -> None:
    here.configure("memory", url="memory://")

    class Reading(mq.Consumer):
        def process(self, message: dict[str, object]) -> None:
            got.append(message)
            raise KeyboardInterrupt

    got: list[dict[str, object]] = []
    consumers = [Reading(id=name, exchange="CTH") for name in ("one", "two")]
    mq.Producer(id="p", exchange="CTH").produce({"msg": "some values"})

    for consumer in consumers:
        with pytest.raises(KeyboardInterrupt):
            consumer.consume()

    assert got == [{"msg": "some values"}] * 2


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (None, "Cannot read .*/config.yml: No such file or directory. Start where config.yml is."),
        ("use: [", "config.yml requires `use: NAME` and a `url:` under that NAME: while parsing .* line 1"),
        ("", "config.yml requires `use: NAME`.*"),
        ("use: rabbitmq", "config.yml requires `use: NAME`.*: 'rabbitmq'."),
        ("use: rabbitmq\nrabbitmq: {url: }", "config.yml requires `use: NAME`.*"),
        ("use: it\nit: {url: 'rabbits://x'}", "Cannot use exchange CTH on it: .*No such transport: rabbits.*"),
        ("use: it\nit: {url: 'amqp://x:y'}", "Cannot use exchange CTH on it: .*Port could not be cast.*"),
        ("use: sqs\nsqs: {url: 'sqs://'}", r'config.yml chooses sqs: `pip install "kombu\[sqs\]"` .*'),
    ],
)
def test_an_invalid_config_is_a_one_line_error(
    terminals: Terminals, config: str | None, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if config is not None:
        (terminals.directory / "config.yml").write_text(config)
    monkeypatch.chdir(terminals.directory)

    with pytest.raises(mq.MQError) as refused:
        mq.Producer(id="producer1", exchange="CTH")

    assert re.match(sentence, str(refused.value)), refused.value


def test_a_missing_broker_is_a_one_line_error(terminals: Terminals) -> None:
    terminals.configure("rabbitmq", url="amqp://guest:secret@127.0.0.1:1//")

    said = terminals.refusal("-m", "lib.mq", "--producer", "--exchange", "CTH", "--id", "producer1")

    assert said.startswith("Cannot use exchange CTH on rabbitmq: [Errno 111] Connection refused. Start rabbitmq, or")
    assert "secret" not in said


def test_an_exchange_of_another_type_is_a_one_line_error(broker: BrokerNode, terminals: Terminals) -> None:
    terminals.configure("rabbitmq", url=broker.amqp_url)
    with broker.connect() as connection:
        connection.channel().exchange_declare("CTH", "topic", durable=True)

    said = terminals.refusal("-m", "lib.mq", "--consumer", "--exchange", "CTH", "--id", "queue1")

    assert "inequivalent arg 'type' for exchange 'CTH'" in said
    assert "change config.yml or the exchange" in said


def test_it_stays_under_150_lines() -> None:
    assert len((PROJECT / "lib/mq.py").read_text().splitlines()) < 150


def test_the_projects_own_config_has_an_entry_for_each(here: Terminals) -> None:
    config = (PROJECT / "config.yml").read_text()
    for name in ("rabbitmq", "redis", "sqs", "memory"):
        Path("config.yml").write_text(config.replace("use: rabbitmq", f"use: {name}"))
        assert mq._settings()[1].startswith({"rabbitmq": "amqp"}.get(name, name))


def test_the_documents_snippet_runs(embedded: EmbeddedNode, here: Terminals) -> None:
    here.configure("rabbitmq", url=embedded.amqp_url)
    snippet = re.search(r"```python\n(.*?)```", (PROJECT / "docs/EXAMPLES.md").read_text(), re.DOTALL)
    assert snippet

    process = here.run("-u", "-c", snippet[1])

    wait_until(lambda: process.output() == "some values\n", 30, "the message being printed")


def test_one_failure_after_the_other_makes_longer_pauses(here: Terminals, monkeypatch: pytest.MonkeyPatch) -> None:
    here.configure("memory", url="memory://")
    pauses: list[float] = []

    class Failing(mq.Consumer):
        def process(self, message: dict[str, object]) -> None:
            if len(pauses) == 7:
                raise KeyboardInterrupt
            raise ValueError("not today")

    consumer = Failing(id="queue1", exchange="failing")
    mq.Producer(id="p", exchange="failing").produce({"n": 1})
    monkeypatch.setattr("lib.mq.time.sleep", pauses.append)

    with pytest.raises(KeyboardInterrupt):
        consumer.consume()

    assert pauses == [1, 2, 4, 8, 16, 30, 30]
