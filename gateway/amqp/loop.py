"""The event loop of a thread: pika's, with callbacks at the end of a turn so that what piled up is done at once."""

from __future__ import annotations

from collections.abc import Callable

from pika.adapters.select_connection import IOLoop


class Loop(IOLoop):  # type: ignore[misc]
    """Only the thread that runs it may use it; others may only call `add_callback_threadsafe`."""

    def __init__(self) -> None:
        super().__init__()
        self._turn_end: dict[Callable[[], None], None] = {}

    def at_turn_end(self, callback: Callable[[], None]) -> None:
        """Run `callback` once, after all events of this turn have been handled, however often it was asked for."""
        if not self._turn_end:
            self.call_later(0, self._end_turn)
        self._turn_end[callback] = None

    def _end_turn(self) -> None:
        callbacks, self._turn_end = self._turn_end, {}
        for callback in callbacks:
            callback()
