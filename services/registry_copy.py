"""A copy of what the registry of consumers holds, read again when the registry's version changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class RegistryCopy(Generic[Value]):
    """Owned by one thread at a time."""

    def __init__(self, version: Callable[[], int], read: Callable[[], Value], *, read_again: float = 30.0) -> None:
        """Read again after `read_again` seconds even when the version is the same: a process that dies between a change
        and the version leaves the version behind. `version` and `read` may raise StoreUnavailable."""
        self._version, self._read, self._read_again = version, read, read_again
        self._latest: tuple[int, Value] | None = None
        self._read_at = float("-inf")

    def now(self) -> Value:
        """The same object as before while it is not read again. Raises what `version` and `read` raise."""
        version = self._version()
        if self._latest is None or self._latest[0] != version or time.monotonic() - self._read_at > self._read_again:
            self._latest = version, self._read()
            self._read_at = time.monotonic()
        return self._latest[1]
