"""A limit to how many callers do something expensive at once, and to how many wait for their turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from domain.errors import Throttled


class Turnstile:
    """Thread-safe."""

    def __init__(self, at_once: int, waiting: int, *, retry_after: float) -> None:
        """`retry_after`: seconds after which a caller that is turned away may try again."""
        self._inside = BoundedSemaphore(at_once)
        self._present = BoundedSemaphore(at_once + waiting)
        self._retry_after = retry_after

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Wait for a turn, and have it until the block ends. Raises Throttled at once when too many wait already."""
        if not self._present.acquire(blocking=False):
            raise Throttled("Too many requests of this kind at once. Try again shortly.", retry_after=self._retry_after)
        try:
            with self._inside:
                yield
        finally:
            self._present.release()
