"""A cached copy of the consumer registry, read again when the registry's version changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class RegistryCopy(Generic[Value]):
    """Owned by one thread at a time."""

    def __init__(self, version: Callable[[], int], read: Callable[[], Value], *, read_again: float = 30.0) -> None:
        """Read again after `read_again` seconds even if the version is unchanged: a process may crash between a change
        and the increment of the version. `version` and `read` may raise StoreUnavailable."""
        self._version, self._read, self._read_again = version, read, read_again
        self._latest: tuple[int, Value] | None = None
        self._read_at = float("-inf")

    def now(self) -> Value:
        """Return the registry's content: the same object until it is read again. Raises what `version` and `read`
        raise."""
        version = self._version()
        if self._latest is None or self._latest[0] != version or time.monotonic() - self._read_at > self._read_again:
            self._latest = version, self._read()
            self._read_at = time.monotonic()
        return self._latest[1]
