"""The oracle of fault tests: unique ids published by REST, and where each of them arrived."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pika
import requests

from tests.support.deployment import Deployment
from tests.support.node import BrokerNode

Body = Mapping[str, Any]


class Publisher:
    """A thread that publishes one message after the other until it is stopped.

    `accepted` are the ids that were answered 200. Other answers, and missing ones, are counted in `failures`, by
    reason: such a message may or may not be published.
    """

    def __init__(self, service: Deployment, prefix: str, per_second: float, message: Callable[[int], Body]) -> None:
        self.accepted: set[str] = set()
        self.failures: Counter[str] = Counter()
        self._service = service
        self._prefix = prefix
        self._period = 1 / per_second
        self._message = message
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"publisher {prefix}", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> int:
        """Requests that were not answered 200."""
        return self.failures.total()

    def stop(self) -> None:
        """Stop, and wait for the last request's answer, within its timeout of 30 s."""
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        number = 0
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._period, time.monotonic())  # after a stall, no burst
            self._publish(number)
            number += 1

    def _publish(self, number: int) -> None:
        identity = f"{self._prefix}-{number}"
        body = dict(self._message(number))
        body["properties"] = {"correlationId": identity, **body.get("properties", {}), "messageId": identity}
        key = {"Idempotency_Key": f"key-{identity}"} if body.pop("twice", False) else {}
        for _ in range(1 + bool(key)):
            try:
                answer = self._service.post("/messagePublish", body, **key)
                if answer.status_code == 200:
                    self.accepted.add(identity)
                else:
                    self.failures[f"{answer.status_code} {answer.json()['detail']}"] += 1
            except requests.RequestException as exc:
                self.failures[type(exc).__name__] += 1


def take_ids(broker: BrokerNode, queue: str, by: str = "message_id") -> Counter[str]:
    """Take all messages from a queue and count them by id. Return nothing for a missing queue."""
    found: Counter[str] = Counter()
    with suppress(pika.exceptions.ChannelClosedByBroker), broker.connect() as connection:
        channel = connection.channel()
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            found[str(getattr(got[1], by))] += 1
    return found
