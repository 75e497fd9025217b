"""A connection with a path: what was published is there after any end of the process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pika
import pytest

import broker
from emulators.kombu_emulator import Connection, EmulatorError, Message, Producer
from tests.support.processes import Process, wait_until

PROJECT = Path(__file__).parents[2]

PUBLISHES_AND_IS_KILLED = """
import os, signal, sys
from emulators.kombu_emulator import Connection, Message
channel = Connection(path=sys.argv[1]).channel()
channel.exchange_declare("events", type="topic").bind_to("kept", "#")
for number in range(100):
    channel.basic_publish(Message(number), "events", "any")
os.kill(os.getpid(), signal.SIGKILL)
"""
HOLDS = """
import signal, sys
from emulators.kombu_emulator import Connection
Connection(path=sys.argv[1]).connect()
print("held", flush=True)
signal.pause()
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[str], Process]]:
    """Start a program on the directory `data`; it is killed in the end."""
    started: list[Process] = []

    def start(program: str) -> Process:
        command = [sys.executable, "-c", program, str(tmp_path / "data")]
        started.append(Process(command, tmp_path / "log", os.environ | {"PYTHONPATH": str(PROJECT)}))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()


def test_a_message_is_on_disk_when_its_publish_returns(run: Callable[[str], Process], tmp_path: Path) -> None:
    publishing = run(PUBLISHES_AND_IS_KILLED)
    wait_until(lambda: not publishing.running, 30, "its end")
    assert publishing.returncode == -signal.SIGKILL
    with Connection(path=tmp_path / "data") as connection:
        queue = connection.channel().queue_declare("kept")
        assert [queue.get().body for _ in range(queue.qsize())] == list(range(100))
        Producer(connection.channel(), "events").publish("the binding is kept, too")
        assert queue.qsize() == 1


def test_one_process_at_a_time_uses_a_directory(run: Callable[[str], Process], tmp_path: Path) -> None:
    holding = run(HOLDS)
    holding.wait_ready(lambda: "held" in holding.output(), 60)
    with pytest.raises(EmulatorError, match="is in use by another"):
        Connection(path=tmp_path / "data").connect()
    holding.kill()
    Connection(path=tmp_path / "data").connect().disconnect()
    run(HOLDS).wait_ready(lambda: holding.output().count("held") == 2, 60)


def test_acked_messages_are_removed_and_the_others_are_redelivered(tmp_path: Path) -> None:
    with Connection(path=tmp_path) as connection:
        channel = connection.channel()
        kept = channel.queue_declare("kept")
        fleeting = channel.queue_declare("fleeting", durable=False)
        for number in range(3):
            kept.put(Message(number))
        kept.put(Message("transient", properties={"delivery_mode": 1}))
        fleeting.put(Message("x"))
        kept.get().ack()
        kept.get()
    with Connection(path=tmp_path) as connection:
        channel = connection.channel()
        kept = channel.queue_declare("kept")
        got: list[int] = []
        channel.basic_consume("kept", lambda message: got.append(message.body))  # bodies are read by another thread
        wait_until(lambda: got == [1, 2], 20, "what was not acked")
        assert channel.queue_declare("fleeting", durable=False).empty()


def test_many_threads_publish_into_one_journal(tmp_path: Path) -> None:
    with Connection(path=tmp_path) as connection:
        channel = connection.channel()
        channel.queue_declare("kept")

        def publish(name: str) -> None:
            for number in range(25):
                channel.basic_publish(Message([name, number]), routing_key="kept")

        threads = [threading.Thread(target=publish, args=(name,)) for name in "abcdefgh"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Connection(path=tmp_path) as connection:
        queue = connection.channel().queue_declare("kept")
        kept = [queue.get().body for _ in range(queue.qsize())]
    assert sorted(kept) == [[name, number] for name in "abcdefgh" for number in range(25)]


def test_the_emulator_reads_messages_that_the_broker_stored_in_the_directory(tmp_path: Path) -> None:
    with broker.running(tmp_path) as url, pika.BlockingConnection(pika.URLParameters(url)) as client:
        plain = client.channel()
        plain.confirm_delivery()
        plain.queue_declare("kept", durable=True)
        plain.basic_publish("", "kept", b"without a content type", pika.BasicProperties(delivery_mode=2))
    with Connection(path=tmp_path) as connection:
        got: list[Message] = []
        connection.channel().basic_consume("kept", got.append)
        wait_until(lambda: got, 20, "the message")
        assert (got[0].body, got[0].headers) == (b"without a content type", {})


def test_a_path_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"something else, of more than a hundred bytes".ljust(200))
    with pytest.raises(EmulatorError, match="is not an SQLite file"):
        Connection(path=tmp_path).connect()
