"""The queues that an operation accesses, so that API keys with queue patterns can be restricted to them.

An operation declares them (`touches=…`); without a declaration such keys are refused. Operation, in routes/api.py, is
the only caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from domain.errors import Forbidden
from domain.queue_scope import QueueScope

Names = Callable[[Any], Iterable[str | None]]
"""Returns the queues that the validated input names. None stands for anything that is not a queue."""


@dataclass(frozen=True, slots=True)
class Touches:
    """`names` returns the queues. Without it the operation is not about queues, and keys with patterns are refused."""

    names: Names | None = None

    def check(self, allowed: QueueScope, given: Any) -> None:
        """Raise Forbidden if `given` names a queue outside `allowed`. The text does not reveal whether it exists."""
        if self.names is None or not allowed.admits_all(self.names(given)):
            raise Forbidden(f"This API key may only access queues named {allowed}.", code="outside_key_scope")


NO_QUEUE = Touches()
"""Exchanges, connections, users: refused to keys with patterns."""

ITS_QUEUE = Touches(lambda given: [given.queue_name])
"""The queue that the input names."""

FILTERED = Touches(lambda query: [] if getattr(query, "queue_name", None) is None else [query.queue_name])
"""A list that the view filters by `caller().queues`."""
