"""The event loop of a thread: pika's, with callbacks at the end of a turn so that what piled up is done at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from pika.adapters.select_connection import IOLoop

log = structlog.get_logger("workerrmq.loop")


class Loop(IOLoop):  # type: ignore[misc]
    """Only the thread that runs it may use it; others may only call `add_callback_threadsafe`."""

    def __init__(self) -> None:
        super().__init__()
        self._turn_end: dict[Callable[[], None], None] = {}
        self._running = True

    def call_later(self, delay: float, callback: Callable[[], Any]) -> Any:
        """Run `callback` once, after `delay` seconds. What is due in the same moment is run, too, if it fails: pika
        would forget the others."""
        return super().call_later(delay, partial(_contained, callback))

    def at_turn_end(self, callback: Callable[[], None]) -> None:
        """Run `callback` once, after all events of this turn have been handled, however often it was asked for."""
        if not self._turn_end:
            self.call_later(0, self._end_turn)
        self._turn_end[callback] = None

    def run(self) -> None:
        """Run until `finish`. A fault in a callback is logged and ends that callback, not the loop: the loop carries
        all consumers of its process, and they must not die with one of them."""
        self.activate_poller()
        try:
            while self._running:
                try:
                    self.poll()
                    self.process_timeouts()
                except Exception:
                    log.exception("callback_crashed")
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


def _contained(callback: Callable[[], Any]) -> None:
    try:
        callback()
    except Exception:
        log.exception("callback_crashed")
