"""Consumers' background threads, and the sink by which a core channel reaches them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from broker.core.message import Entry
from emulators.message import Message

_this_thread = threading.local()


class Workers:
    """A channel's core.channel.Sink: a thread for each consumer, which processes one message after another."""

    writable = True

    def __init__(self, read: Callable[[int, Entry, str], Message]) -> None:
        self._read = read
        self._threads: dict[str, tuple[ThreadPoolExecutor, Callable[[Message], None]]] = {}

    def add(self, consumer_tag: str, process: Callable[[Message], None]) -> None:
        """Have the consumer's messages processed."""
        mark = partial(setattr, _this_thread, "is_worker", True)
        self._threads[consumer_tag] = ThreadPoolExecutor(1, f"consumer {consumer_tag}", mark), process

    def deliver(self, consumer_tag: str, delivery_tag: int, entry: Entry) -> None:
        """See Sink.deliver."""
        thread, process = self._threads[consumer_tag]
        with suppress(RuntimeError):  # the interpreter is ending: the message stays unsettled
            thread.submit(process, self._read(delivery_tag, entry, consumer_tag))

    def cancelled(self, consumer_tag: str) -> None:
        """See Sink.cancelled. What was not begun went with the queue."""
        self._threads.pop(consumer_tag)[0].shutdown(wait=False, cancel_futures=True)

    def returned(self, *_: object) -> None:
        """See Sink.returned, and the two below: whoever publishes waits for the outcome."""

    confirmed = confirms_due = returned

    def stop(self) -> None:
        """Once nothing more is delivered: end each thread after the message that it has. When called by one of them,
        does not wait: two that wait for each other would never end.
        """
        for thread, _ in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        if not hasattr(_this_thread, "is_worker"):
            for thread, _ in self._threads.values():
                thread.shutdown()
