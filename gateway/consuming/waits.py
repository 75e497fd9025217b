"""The waits of an ordered consumer's failed messages, which outlast the loss of a channel."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from gateway.consuming.session import Delivery

_REMEMBERED = 2000
"""Maximum number of waits, so that a redelivered message keeps its attempts."""


@dataclass(frozen=True, slots=True)
class _Wait:
    attempt: int
    not_before: float
    first_failed: float
    message_id: str


def _identity(delivery: Delivery) -> Hashable:
    """Return a value that identifies a redelivered message on another channel: its id, or its content if the publisher
    set no id. Of messages with equal content, the first in the lane may stand for any."""
    source = delivery.source
    return delivery.key, source.properties.message_id or (source.routing_key, hash(source.body))


class Waits:
    """Owned by the loop's thread. Times are in seconds."""

    def __init__(self) -> None:
        self._waits: OrderedDict[Hashable, _Wait] = OrderedDict()

    def begin(self, delivery: Delivery, seconds: float) -> None:
        """Charge an attempt of a delivery, and let it wait."""
        delivery.attempt += 1
        delivery.first_failed = delivery.first_failed or time.time()
        self._waits[_identity(delivery)] = _Wait(
            delivery.attempt, time.monotonic() + seconds, delivery.first_failed, delivery.source.message_id
        )
        if len(self._waits) > _REMEMBERED:
            self._waits.popitem(last=False)

    def resume(self, delivery: Delivery) -> float:
        """Return how long a delivery must still wait, 0 or less if not. If its wait began on an earlier channel, the
        delivery gets its attempts."""
        if not self._waits or (wait := self._waits.get(_identity(delivery))) is None:
            return 0.0
        delivery.attempt, delivery.first_failed = wait.attempt, wait.first_failed
        delivery.source = delivery.source._replace(message_id=wait.message_id)
        return wait.not_before - time.monotonic()

    def end(self, delivery: Delivery) -> None:
        """Forget the wait of a delivery, which is settled."""
        if self._waits:
            self._waits.pop(_identity(delivery), None)
