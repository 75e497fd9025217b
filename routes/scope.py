"""What an operation touches, so that API keys with queue patterns reach no further than these.

Every operation that takes a login declares it (`touches=…`); one that does not is refused to such keys. Operation, in
routes/api.py, is the only place that asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from domain.errors import Forbidden
from domain.queue_scope import QueueScope

Names = Callable[[Any], Iterable[str | None]]
"""From the validated input to the queues that it names; None is anything that is no queue."""


@dataclass(frozen=True, slots=True)
class Touches:
    """`names` says which queues; without it the operation is about something else, and not for such keys."""

    names: Names | None = None

    def check(self, allowed: QueueScope, given: Any) -> None:
        """Raises Forbidden, with the same words whether what is named exists or not."""
        if self.names is None or not allowed.admits_all(self.names(given)):
            raise Forbidden(f"This API key may only touch queues named {allowed}.", code="outside_key_scope")


NO_QUEUE = Touches()
"""Exchanges, connections, users: refused to keys with patterns."""

ITS_QUEUE = Touches(lambda given: [given.queue_name])
"""The queue that the input names."""

FILTERED = Touches(lambda query: [] if getattr(query, "queue_name", None) is None else [query.queue_name])
"""A list that the view cuts down to `caller().queues`."""
