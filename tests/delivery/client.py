"""The HTTP client that deliveries go by, without queues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from delivery.target_guard import Guard
from domain.consumer import ConsumerSpec
from domain.outcome import Answer
from gateway.http.client import HttpClient
from gateway.http.egress import DIRECT, Egress
from gateway.loop import Loop


class Client:
    """An HTTP client on a loop that runs while it waits for an answer."""

    def __init__(self, guard: Guard | None = None, egress: Egress = DIRECT) -> None:
        self.loop = Loop()
        self.loop.activate_poller()
        self.http = HttpClient(self.loop, guard, egress=egress)

    def post(self, url: str, body: bytes = b"x", lines: Sequence[str] = (), **fields: Any) -> Answer:
        """Send one request by a new consumer, and return the answer."""
        return self.at_once(url, 1, body, lines, **fields)[0]

    def at_once(
        self, url: str, count: int, body: bytes = b"x", lines: Sequence[str] = (), **fields: Any
    ) -> list[Answer]:
        """Send requests at once by a new consumer, and return their answers in the order in which they arrive."""
        answers: list[Answer] = []
        target = self.http.target(consumer_of(url, **fields))
        for _ in range(count):
            self.loop.call_later(0, lambda: target.send(list(lines), body, answers.append))
        self.run_until(lambda: len(answers) == count)
        return answers

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Run the loop until a condition is true."""
        while not condition():
            self.loop.poll()
            self.loop.process_timeouts()

    def run_for(self, seconds: float) -> None:
        """Run the loop for a while."""
        over: list[None] = []
        self.loop.call_later(seconds, lambda: over.append(None))
        self.run_until(lambda: bool(over))

    def close(self) -> None:
        self.http.close()
        self.loop.deactivate_poller()
        self.loop.close()


def consumer_of(url: str, **fields: Any) -> ConsumerSpec:
    return ConsumerSpec(queue_name="q", url=url, **{"timeout": 5} | fields)
