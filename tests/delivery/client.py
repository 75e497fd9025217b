"""The HTTP client that deliveries go by, without queues."""

from __future__ import annotations

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

    def post(self, url: str, body: bytes = b"x", **fields: Any) -> Answer:
        """Send one request by a new consumer, and return the answer."""
        answers: list[Answer] = []
        target = self.http.target(ConsumerSpec(queue_name="q", url=url, **{"timeout": 5} | fields))
        self.loop.call_later(0, lambda: target.send([], body, answers.append))
        while not answers:
            self.loop.poll()
            self.loop.process_timeouts()
        return answers[0]

    def close(self) -> None:
        self.http.close()
        self.loop.deactivate_poller()
        self.loop.close()
