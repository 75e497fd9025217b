"""kill -9 at random moments under load, counted by message id."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.broker.unit.test_command import command, ready_port

PERSISTENT = pika.BasicProperties(delivery_mode=2)


class Load:
    """Publishes with confirms, consumes and acks on one connection until it closes.

    `confirmed`: ids that the broker has confirmed. `taken`: ids that were acked. `settled`: ids whose acks were
    followed by a reply, so that they must never be delivered again; `risen` are those that were.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.published = 0
        self.confirmed: set[int] = set()
        self.taken: set[int] = set()
        self.settled: set[int] = set()
        self.risen: set[int] = set()

    def run(self, port: int) -> None:
        self._pending: dict[int, int] = {}
        self._tag = 0
        self._acked: list[int] = []
        connection = pika.SelectConnection(
            pika.ConnectionParameters("127.0.0.1", port),
            on_open_callback=lambda one: one.channel(on_open_callback=self._opened),
            on_open_error_callback=lambda one, _: one.ioloop.stop(),
            on_close_callback=lambda one, _: one.ioloop.stop(),
        )
        connection.ioloop.start()

    def _opened(self, channel: Any) -> None:
        self._publisher = channel
        confirms = lambda _: channel.confirm_delivery(self._confirmed, callback=self._confirming)  # noqa: E731
        channel.queue_declare("q", durable=True, callback=confirms)

    def _confirming(self, _: Any) -> None:
        self._publisher.connection.channel(on_open_callback=self._consume)

    def _consume(self, channel: Any) -> None:
        channel.basic_qos(prefetch_count=50)
        channel.basic_consume("q", self._delivered)
        self._publish()

    def _publish(self) -> None:
        while len(self._pending) < 100:
            self.published += 1
            self._tag += 1
            self._pending[self._tag] = self.published
            padding = b" " * self.random.randint(0, 2000)
            self._publisher.basic_publish("", "q", b"%d" % self.published + padding, PERSISTENT)

    def _confirmed(self, frame: Any) -> None:
        last, multiple = frame.method.delivery_tag, frame.method.multiple
        for tag in [tag for tag in self._pending if tag == last or (multiple and tag < last)]:
            self.confirmed.add(self._pending.pop(tag))
        self._publish()

    def _delivered(self, channel: Any, method: Any, _: Any, body: bytes) -> None:
        number = int(body)
        if number in self.settled:
            self.risen.add(number)
        if self.random.random() < 0.3:
            channel.basic_nack(method.delivery_tag)
            return
        channel.basic_ack(method.delivery_tag)
        self.taken.add(number)
        self._acked.append(number)
        if len(self._acked) == 50:
            acked, self._acked = self._acked, []
            channel.queue_declare("q", passive=True, callback=lambda _: self.settled.update(acked))


def kill_under_load(load: Load, data_dir: Path) -> None:
    with command("--port", "0", "--data-dir", str(data_dir)) as process:
        port = ready_port(process)
        killer = threading.Timer(load.random.uniform(0.05, 0.7), process.send_signal, [signal.SIGKILL])
        killer.start()
        load.run(port)
        killer.join()
        process.wait()


def drain(data_dir: Path) -> set[int]:
    """Start the broker again and return the ids in the queue."""
    with command("--port", "0", "--data-dir", str(data_dir)) as process:
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", ready_port(process)))
        channel = connection.channel()
        left = set()
        while (body := channel.basic_get("q", auto_ack=True)[2]) is not None:
            left.add(int(body))
        connection.close()
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(10) == 0
        except subprocess.TimeoutExpired:
            pytest.fail("the broker did not end")
    return left


@pytest.mark.parametrize("rounds", [4, pytest.param(200, marks=(pytest.mark.soak, pytest.mark.timeout(0)))])
def test_no_confirmed_message_is_lost_and_no_acked_one_returns(tmp_path: Path, rounds: int) -> None:
    load = Load(seed=rounds)
    for _ in range(rounds):
        kill_under_load(load, tmp_path)
    left = drain(tmp_path)
    assert len(load.confirmed) > 100
    assert load.confirmed - load.taken - left == set()
    assert load.risen | (left & load.settled) == set()
