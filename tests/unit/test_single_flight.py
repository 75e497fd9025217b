"""Callers that ask the same question at the same time share one call."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from services.single_flight import SingleFlight
from tests.support.processes import wait_until


class Question:
    """A call that waits for the test's answer, and counts how often it was made."""

    def __init__(self) -> None:
        self.asked: SimpleQueue[str] = SimpleQueue()
        self.answer: Future[str] = Future()

    def __call__(self) -> str:
        self.asked.put("once")
        return self.answer.result(10)


def test_callers_at_the_same_time_share_one_call_and_its_answer() -> None:
    flights: SingleFlight[str] = SingleFlight()
    question = Question()
    with ThreadPoolExecutor(4) as threads:
        callers = [threads.submit(flights.call, "key", question) for _ in range(4)]
        assert question.asked.get(timeout=10) == "once"
        assert flights.call("another key", lambda: "at once") == "at once"
        wait_until(lambda: all(caller.running() for caller in callers))
        question.answer.set_result("this")
        assert [caller.result(10) for caller in callers] == ["this"] * 4
    assert question.asked.empty()


def test_an_answer_is_not_kept() -> None:
    flights: SingleFlight[int] = SingleFlight()
    assert [flights.call("key", lambda n=n: n) for n in range(3)] == [0, 1, 2]  # type: ignore[misc]


def test_an_error_is_shared_too_and_ends_the_call() -> None:
    flights: SingleFlight[str] = SingleFlight()
    question = Question()
    with ThreadPoolExecutor(2) as threads:
        callers = [threads.submit(flights.call, "key", question) for _ in range(2)]
        question.asked.get(timeout=10)
        question.answer.set_exception(ZeroDivisionError())
        for caller in callers:
            with pytest.raises(ZeroDivisionError):
                caller.result(10)
    assert flights.call("key", lambda: "again") == "again"
