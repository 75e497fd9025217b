"""How a request waits for something: in a thread of its own by blocking it, in a shared one by letting others go on.

gunicorn's worker (shared_thread.py) runs what is short in its main thread, each request in a greenlet. Whatever such a
request waits for, it must wait for by `event`, or do by `aside`: a call that blocks would block all that share.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Any, Generic, Protocol, TypeVar, cast

from greenlet import getcurrent, greenlet

T = TypeVar("T")


class Event(Protocol):
    """As threading.Event, for one who waits."""

    def set(self) -> None:
        """End the waiting; from any thread."""

    def wait(self, timeout: float) -> bool:
        """Whether it was set within `timeout` seconds; a shared thread may notice a second late that it was not."""


def event() -> Event:
    """One for the caller to wait for."""
    current = getcurrent()
    return _SharedEvent(current) if isinstance(current, _Task) else threading.Event()


def aside(call: Callable[[], T]) -> T:
    """`call()`, which may block. Raises what it raises."""
    current = getcurrent()
    if not isinstance(current, _Task):
        return call()
    done = _SharedEvent(current)
    future = current.thread.pool.submit(copy_context().run, call)
    future.add_done_callback(lambda _: done.set())
    while not done.wait(60):
        pass
    return future.result()


def soon(call: Callable[[], None]) -> None:
    """`call()`: now, or once all that share the thread have had their turn, so that what they want is done at once."""
    current = getcurrent()
    if isinstance(current, _Task):
        current.thread.at_turn_end(call)
    else:
        call()


class Joint(Generic[T]):
    """Calls that ask the same at the same time: one is made, aside, and all get its answer. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, _Call[T]] = {}

    def call(self, question: str, call: Callable[[], T]) -> T | None:
        """`call()`, raising what it raises, or what another's gave: None when that failed."""
        with self._lock:
            joined = self._made.get(question)
            if joined is None:
                made = self._made[question] = _Call()
            else:
                done = event()
                joined.waiting.append(done)
        if joined is not None:
            done.wait(60)
            return joined.answer
        try:
            made.answer = aside(call)
        finally:
            with self._lock:
                del self._made[question]
            for done in made.waiting:
                done.set()
        return made.answer


class _Call(Generic[T]):
    def __init__(self) -> None:
        self.waiting: list[Event] = []
        self.answer: T | None = None


class SharedThread:
    """The thread that calls `start`, `expire`, and what it gave to `defer`. `defer` is thread-safe, and has the thread
    call something soon; `pool` is for what blocks."""

    def __init__(self, defer: Callable[[Callable[[], None]], None], pool: Executor) -> None:
        self.pool = pool
        self._defer = defer
        self._waiting: dict[_SharedEvent, float] = {}
        self._set: deque[_SharedEvent] = deque()
        self._woken = False
        self._turn_end: list[Callable[[], None]] = []

    def start(self, task: Callable[[], T], then: Callable[[T], None]) -> None:
        """Run `task` until it has to wait, and on whenever it has not; in the end call `then` with what it returned."""
        self._run(_Task(task, then, self))

    def expire(self) -> None:
        """Run on those that have waited for too long. To be called about once a second."""
        now = time.monotonic()
        for event in [event for event, deadline in self._waiting.items() if deadline <= now]:
            self._run(event.task)
        self.end_turn()

    def end_turn(self) -> None:
        """Do what has been put off. To be called when nobody can go on for now."""
        calls, self._turn_end = self._turn_end, []
        for call in calls:
            call()

    def at_turn_end(self, call: Callable[[], None]) -> None:
        """Put it off."""
        self._turn_end.append(call)

    def wait(self, event: _SharedEvent, deadline: float) -> None:
        """Let others go on until it is set."""
        self._waiting[event] = deadline
        assert event.task.parent is not None
        event.task.parent.switch()
        del self._waiting[event]

    def wake(self, event: _SharedEvent) -> None:
        """It has been set. From any thread."""
        self._set.append(event)
        if not self._woken:
            self._woken = True
            self._defer(self._run_on)

    def _run_on(self) -> None:
        self._woken = False
        while self._set:
            event = self._set.popleft()
            if event in self._waiting:
                self._run(event.task)

    def _run(self, task: _Task) -> None:
        result = task.switch()
        if task.dead:
            task.then(result)


class _Task(greenlet):
    def __init__(self, run: Callable[[], T], then: Callable[[T], None], thread: SharedThread) -> None:
        super().__init__(run)
        self.then = cast("Callable[[Any], None]", then)
        self.thread = thread


class _SharedEvent:
    def __init__(self, task: _Task) -> None:
        self.task = task
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        self.task.thread.wake(self)

    def wait(self, timeout: float) -> bool:
        if not self._is_set:
            self.task.thread.wait(self, time.monotonic() + timeout)
        return self._is_set
