"""The oracle of fault tests: unique ids that are published by REST, and where each of them ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pika
import requests

from tests.support.deployment import Deployment
from tests.support.node import BrokerNode

Body = Mapping[str, Any]


class Publisher:
    """Publishes one message after the other, in a thread, until it is stopped.

    `accepted` are the ids that were answered 200. Other answers, and no answer, are counted in `failed`: such a message
    may be published or not.
    """

    def __init__(self, service: Deployment, prefix: str, per_second: float, message: Callable[[int], Body]) -> None:
        self.accepted: set[str] = set()
        self.failed = 0
        self._service = service
        self._prefix = prefix
        self._period = 1 / per_second
        self._message = message
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"publisher {prefix}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when the last request is answered, within its timeout of 30 s."""
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
        body["properties"] = {**body.get("properties", {}), "messageId": identity}
        key = {"Idempotency_Key": f"key-{identity}"} if body.pop("twice", False) else {}
        for _ in range(1 + bool(key)):
            with suppress(requests.RequestException):
                if self._service.post("/messagePublish", body, **key).status_code == 200:
                    self.accepted.add(identity)
                    continue
            self.failed += 1


def waiting_ids(broker: BrokerNode, queue: str) -> set[str]:
    """Return the ids of the messages in a queue, which stay there; empty if there is no such queue."""
    found: set[str] = set()
    with suppress(pika.exceptions.ChannelClosedByBroker), broker.connect() as connection:
        channel = connection.channel()
        while (got := channel.basic_get(queue))[0] is not None:
            found.add(got[1].message_id)
    return found
