"""What the core needs of a durable store, and the store that keeps nothing.

The core calls it synchronously and never waits: records collect in a batch, which is committed as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from broker.core.message import Entry, Message


class Journal(Protocol):
    """A batch of records being filled. All that one operation of the core records goes into one batch."""

    def store(self, queue_id: int, entry: Entry) -> None:
        """Record a persistent message's place in a durable queue."""

    def forget(self, entry: Entry) -> None:
        """Record that a stored entry is settled."""

    def touch(self, entry: Entry) -> None:
        """Record a stored entry's `redelivered` and `deliveries`."""

    def define(self, kind: str, key: str, value: dict[str, Any]) -> None:
        """Record a vhost, user, permission, exchange, queue or binding."""

    def undefine(self, kind: str, key: str) -> None:
        """Record that a definition is gone."""

    @property
    def batch(self) -> int:
        """The number of the batch being filled."""

    @property
    def records(self) -> int:
        """How many records there have been."""

    def on_commit(self, committed: Callable[[], None]) -> None:
        """Call `committed` once all that is recorded so far is on disk."""

    def page_out(self, entry: Entry) -> bool:
        """Whether the body is on disk, so that memory may let it go; if not, it is recorded and soon will be."""

    def page_in(self, messages: Iterable[Message]) -> None:
        """Read back the bodies of messages that were paged out."""


class NullJournal:
    """For a broker without a data directory: nothing is recorded, everything counts as committed at once."""

    batch = 0
    records = 0

    def store(self, queue_id: int, entry: Entry) -> None:
        """Nothing to record."""

    def forget(self, entry: Entry) -> None:
        """Nothing to record."""

    def touch(self, entry: Entry) -> None:
        """Nothing to record."""

    def define(self, kind: str, key: str, value: dict[str, Any]) -> None:
        """Nothing to record."""

    def undefine(self, kind: str, key: str) -> None:
        """Nothing to record."""

    def on_commit(self, committed: Callable[[], None]) -> None:
        """There is nothing to wait for."""
        committed()

    def page_out(self, entry: Entry) -> bool:
        """There is no disk: bodies stay in memory."""
        return False

    def page_in(self, messages: Iterable[Message]) -> None:
        """Nothing is ever paged out."""
