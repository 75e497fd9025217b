"""The event loop of a thread: pika's, with callbacks at the end of each turn, so that work can be batched."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from pika.adapters.select_connection import IOLoop

log = structlog.get_logger("workerrmq.loop")


class Loop(IOLoop):  # type: ignore[misc]
    """An event loop. Only the thread that runs it may use it; others may only call `add_callback_threadsafe`."""

    def __init__(self) -> None:
        super().__init__()
        self._turn_end: dict[Callable[[], None], None] = {}
        self._running = True

    def call_later(self, delay: float, callback: Callable[[], Any]) -> Any:
        """Run `callback` once, after `delay` seconds. An exception in it is logged: otherwise pika would drop the other
        callbacks that are due at the same time."""
        return super().call_later(delay, partial(contained, callback))

    def at_turn_end(self, callback: Callable[[], None]) -> None:
        """Run `callback` after all events of this turn, only once even if this method is called several times."""
        if not self._turn_end:
            self.call_later(0, self._end_turn)
        self._turn_end[callback] = None

    def run(self) -> None:
        """Run until `finish`. An exception in a callback is logged and does not end the loop, because the loop runs all
        consumers of its process. Timers go on even if a socket's callback fails each time."""
        self.activate_poller()
        try:
            while self._running:
                contained(self.poll)
                contained(self.process_timeouts)
        finally:
            self.deactivate_poller()
            self.close()

    def finish(self) -> None:
        self._running = False

    def _end_turn(self) -> None:
        callbacks, self._turn_end = list(self._turn_end), {}
        try:
            while callbacks:
                callbacks.pop(0)()
        finally:
            for callback in callbacks:
                self.at_turn_end(callback)


def contained(callback: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of `callback`. Log an exception in it and return None, so that the caller can go on with the
    other callbacks."""
    try:
        return callback(*arguments)
    except Exception:
        log.exception("callback_crashed")
        return None
