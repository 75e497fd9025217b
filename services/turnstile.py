"""Limits how many callers run an expensive operation at once, and how many wait for a slot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from domain.errors import Throttled


class Turnstile:
    """Thread-safe."""

    def __init__(self, at_once: int, waiting: int, *, retry_after: float) -> None:
        """`retry_after` is the number of seconds after which a rejected caller may retry."""
        self._inside = BoundedSemaphore(at_once)
        self._present = BoundedSemaphore(at_once + waiting)
        self._retry_after = retry_after

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Wait for a slot, and hold it until the block ends. Raises Throttled at once when too many callers wait."""
        if not self._present.acquire(blocking=False):
            raise Throttled("Too many requests of this kind at once. Retry shortly.", retry_after=self._retry_after)
        try:
            with self._inside:
                yield
        finally:
            self._present.release()
