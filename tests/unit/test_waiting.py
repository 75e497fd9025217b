"""Tasks that share a thread wait without blocking it, and what blocks is done aside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from queue import SimpleQueue

import pytest

from gateway import waiting
from gateway.waiting import SharedThread


class Loop:
    """A thread that does what it is asked to, as gunicorn's main thread does."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.shared = SharedThread(self._calls.put, pool)

    def turn(self) -> None:
        """One call, which is waited for, and the end of the turn."""
        self._calls.get(timeout=5)()
        self.shared.end_turn()


@pytest.fixture
def loop() -> Iterator[Loop]:
    with ThreadPoolExecutor(1) as pool:
        yield Loop(pool)


def test_one_that_waits_lets_others_go_on_until_the_event_is_set(loop: Loop) -> None:
    events: list[waiting.Event] = []
    done: list[str] = []

    def wait(name: str) -> str:
        events.append(waiting.event())
        assert events[-1].wait(60)
        return name

    loop.shared.start(lambda: wait("first"), done.append)
    loop.shared.start(lambda: wait("second"), done.append)
    assert done == []
    threading.Thread(target=events[1].set).start()
    loop.turn()
    assert done == ["second"]
    events[0].set()
    loop.turn()
    assert done == ["second", "first"]


def test_what_is_set_before_is_not_waited_for(loop: Loop) -> None:
    def task() -> bool:
        event = waiting.event()
        event.set()
        return event.wait(60)

    done: list[bool] = []
    loop.shared.start(task, done.append)
    assert done == [True]
    loop.turn()
    assert done == [True], "nobody is run on who no longer waits"


def test_who_has_waited_for_too_long_is_told_so_when_the_thread_looks(loop: Loop) -> None:
    done: list[bool] = []
    loop.shared.start(lambda: waiting.event().wait(0), done.append)
    loop.shared.start(lambda: waiting.event().wait(60), done.append)
    assert done == []
    loop.shared.expire()
    assert done == [False]


def test_what_blocks_is_done_by_another_thread_in_the_context_of_the_task(loop: Loop) -> None:
    name = ContextVar("name", default="nobody")
    seen: list[tuple[str, bool]] = []

    def task() -> str:
        name.set("somebody")
        main = threading.get_ident()
        seen.append(waiting.aside(lambda: (name.get(), threading.get_ident() == main)))
        with pytest.raises(ZeroDivisionError):
            waiting.aside(lambda: 1 // 0)
        return name.get()

    done: list[str] = []
    loop.shared.start(task, done.append)
    loop.turn()
    loop.turn()
    assert (seen, done, name.get()) == ([("somebody", False)], ["somebody"], "nobody")


def test_what_can_be_done_for_all_at_once_is_put_off_to_the_end_of_the_turn(loop: Loop) -> None:
    done: list[str] = []
    loop.shared.start(lambda: waiting.soon(lambda: done.append("soon")), lambda _: done.append("finished"))
    assert done == ["finished"]
    loop.shared.end_turn()
    loop.shared.end_turn()
    assert done == ["finished", "soon"]


def test_those_who_ask_the_same_at_once_share_one_call(loop: Loop) -> None:
    asked = SimpleQueue[str]()
    answer = SimpleQueue[str]()

    def ask() -> str:
        asked.put("once")
        return answer.get(timeout=5)

    joint: waiting.Joint[str] = waiting.Joint()
    done: list[str | None] = []
    for _ in range(3):
        loop.shared.start(lambda: joint.call("what", ask), done.append)
    assert asked.get(timeout=5) == "once"
    answer.put("this")
    while len(done) < 3:
        loop.turn()
    assert (done, asked.empty()) == (["this"] * 3, True)
    answer.put("that")
    assert joint.call("what", ask) == "that", "what has been answered is asked again"


def test_who_shares_a_call_that_fails_gets_none(loop: Loop) -> None:
    joint: waiting.Joint[str] = waiting.Joint()
    go = threading.Event()

    def fail() -> str:
        go.wait(5)
        raise ZeroDivisionError

    def first() -> None:
        with pytest.raises(ZeroDivisionError):
            joint.call("what", fail)

    done: list[str | None] = []
    loop.shared.start(first, done.append)
    loop.shared.start(lambda: joint.call("what", fail), done.append)
    go.set()
    while len(done) < 2:
        loop.turn()
    assert done == [None, None]


def test_without_a_shared_thread_it_is_all_as_usual() -> None:
    done: list[str] = []
    waiting.soon(lambda: done.append("soon"))
    event = waiting.event()
    threading.Thread(target=event.set).start()
    assert (done, waiting.aside(lambda: 1), event.wait(5)) == (["soon"], 1, True)
