"""The core's interface to a durable store, and a store that stores nothing.

The core calls it synchronously and never waits: records collect in a batch, which is committed as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from broker.core.message import Entry, Message


class Journal(Protocol):
    """A batch of records being filled. All records of one operation of the core go into one batch."""

    def store(self, queue_id: int, entry: Entry) -> None:
        """Record a persistent message in a durable queue."""

    def forget(self, entry: Entry) -> None:
        """Record that a stored entry has left its queue."""

    def touch(self, entry: Entry) -> None:
        """Record a stored entry's `position`, `redelivered` and `deliveries`."""

    def define(self, kind: str, key: str, value: dict[str, Any]) -> None:
        """Record a vhost, user, permission, exchange, queue or binding."""

    def undefine(self, kind: str, key: str) -> None:
        """Record a deleted definition."""

    @property
    def batch(self) -> int:
        """The number of the batch being filled."""

    @property
    def records(self) -> int:
        """Return the number of records so far."""

    def on_commit(self, committed: Callable[[], None]) -> None:
        """Call `committed` when all records so far are on disk."""

    def page_out(self, entry: Entry) -> bool:
        """Return whether the body is on disk and may leave memory. If not, record it for the next batch."""

    def page_in(self, messages: Iterable[Message]) -> None:
        """Read the bodies of paged-out messages."""


class NullJournal:
    """The journal of a broker without a data directory: records nothing and commits at once."""

    batch = 0
    records = 0

    def store(self, queue_id: int, entry: Entry) -> None: ...

    def forget(self, entry: Entry) -> None: ...

    def touch(self, entry: Entry) -> None: ...

    def define(self, kind: str, key: str, value: dict[str, Any]) -> None: ...

    def undefine(self, kind: str, key: str) -> None: ...

    def on_commit(self, committed: Callable[[], None]) -> None:
        committed()

    def page_out(self, entry: Entry) -> bool:
        """Keep all bodies in memory."""
        return False

    def page_in(self, messages: Iterable[Message]) -> None: ...
