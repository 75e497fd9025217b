"""The renderer's process fails: each job is settled once, and only the template that is at fault is blamed."""

from __future__ import annotations

import os
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from delivery.unsendable import Failed, Unsendable
from domain.outcome import ErrorClass, Outcome
from domain.outcome_rules import OutcomeRules
from tests.support.rendering import (
    Renderings,
    Result,
    no_descriptors,
    renderers,
    seconds_computed,
    stopped_renderer,
)  # fmt: skip

ENDLESS = "{% set a, b = [1], [1] %}" + "{% set a, b = [a, a], [b, b] %}" * 60 + "{{ a == b }}"


@pytest.fixture
def make() -> Iterator[Callable[..., Renderings]]:
    made: list[Renderings] = []

    def one(**limits: Any) -> Renderings:
        made.append(Renderings(**limits))
        return made[-1]

    yield one
    for each in made:
        each.close()


def is_ours(result: Result) -> bool:
    """Whether a result is a failure of the service, which costs the message no attempt."""
    unsent = isinstance(result, Unsendable) and OutcomeRules().table.outcome_of(result.answer) is Outcome.UNSENT
    return unsent and isinstance(result, Failed) and result.answer.error is ErrorClass.INTERNAL


def test_a_job_fails_once_when_no_descriptor_is_free_and_later_ones_are_rendered(
    make: Callable[..., Renderings],
) -> None:
    one, found = make(longest_pause=0.1), []
    with no_descriptors():
        one.submit("first", found.append)
    assert len(found) == 1
    assert is_ours(found[0])
    one.until(lambda: b"second" in one.all("second"))
    assert len(found) == 1, "it was not rendered as well"


def test_jobs_fail_while_the_process_does_not_start_and_none_waits_for_it(make: Callable[..., Renderings]) -> None:
    one = make(memory=2**20, longest_pause=0.2)
    for _ in range(4):  # some before and some after the next start is due
        assert all(is_ours(result) for result in one.all("a", "b"))


def test_a_process_that_does_not_answer_is_replaced_and_the_loop_goes_on_meanwhile(
    make: Callable[..., Renderings],
) -> None:
    one, found, turns = make(silence=4.0), [], []
    for number in range(3):
        assert one.all("warm") == [b"warm"]
        with stopped_renderer():
            for name in ("a", "b"):
                one.submit(name, found.append)
            one.loop.call_later(0.1, lambda: turns.append(len(found)))
            one.until(lambda: len(found) == 2 * number + 2)  # noqa: B023
        assert turns[number] == 2 * number, "nothing was rendered before"
    assert found == [b"a", b"b"] * 3


def test_a_message_fails_for_the_service_if_each_process_is_killed_while_it_renders_it(
    make: Callable[..., Renderings],
) -> None:
    one, found = make(ends=3, seconds=60.0), []
    assert one.all("warm") == [b"warm"]
    one.submit(ENDLESS, found.append)

    def kill() -> None:
        if not found:
            for process in renderers():
                if seconds_computed(process) > 1:  # it has started, and is rendering
                    os.kill(process, signal.SIGKILL)
            one.loop.call_later(0.1, kill)

    kill()
    one.until(lambda: found)
    assert is_ours(found[0])
    assert "3 renderers" in str(found[0])
    assert one.all("next") == [b"next"]


@pytest.mark.parametrize("number", [signal.SIGPROF, signal.SIGABRT, signal.SIGSEGV])
def test_a_message_is_not_blamed_for_the_end_of_a_process_that_rendered_others_before(
    make: Callable[..., Renderings], number: signal.Signals
) -> None:
    one, found = make(), []
    assert one.all("other") == [b"other"]
    with stopped_renderer() as process:
        one.submit("innocent", found.append)
        one.until(lambda: True)
        os.kill(process, number)
    one.until(lambda: found)
    assert found == [b"innocent"]


def test_a_callback_that_raises_costs_no_other_job_its_result(make: Callable[..., Renderings]) -> None:
    one = make()

    def fails(_result: Result) -> None:
        raise RuntimeError("a fault of ours")

    one.submit("first", fails)
    assert one.all("second", "third") == [b"second", b"third"]


def test_few_bytes_are_copied_for_a_process_that_does_not_read(make: Callable[..., Renderings]) -> None:
    one, found, body = make(in_flight=2**20), [], b'"' + b"x" * 2**20 + b'"'
    assert one.all("warm") == [b"warm"]
    with stopped_renderer():
        tracemalloc.start()
        for _ in range(60):
            one.submit("{{ text|length }}", found.append, body)
        for _ in range(5):
            one.loop.call_later(0, lambda: None)
            one.loop.poll()
            one.loop.process_timeouts()
        copied, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert copied < 8 * 2**20
    one.until(lambda: len(found) == 60)
    assert found == [str(2**20 + 2).encode()] * 60
