"""The limit of requests in flight, on a model of a target whose capacity changes, in simulated time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.concurrency import Limiter

MOST = 200
LATENCY = 0.05
PHASE = 60.0
"""Seconds for which the target has one capacity."""


@dataclass
class Settled:
    """The limit in the second half of a phase: its mean over time, and its extremes."""

    seconds: float = 0.0
    total: float = 0.0
    limits: set[int] = field(default_factory=set)

    @property
    def mean(self) -> float:
        return self.total / self.seconds


Target = Callable[[int, int, float], tuple[float, bool]]
"""From the requests in flight, the capacity, and the latency without load, to the duration and whether it is busy."""


def refusing(in_flight: int, capacity: int, latency: float) -> tuple[float, bool]:
    """A target that answers 503 at once to what exceeds its capacity."""
    return (LATENCY / 10, True) if in_flight > capacity else (latency, False)


def queueing(in_flight: int, capacity: int, latency: float) -> tuple[float, bool]:
    """A target that answers more slowly when it has more requests than its capacity, and too late after 2 s."""
    seconds = latency * max(1.0, in_flight / capacity)
    return min(seconds, 2.0), seconds > 2.0


def simulate(target: Target, capacities: list[int], noise: float) -> list[Settled]:
    """Run a limiter that always has messages to send; `noise` is the relative spread of the latency."""
    chance, limiter = random.Random(1), Limiter(MOST, adaptive=True)
    phases = [Settled() for _ in capacities]
    flying: list[tuple[float, float, bool]] = []  # end, beginning and whether busy
    now = 0.0
    while (phase := int(now // PHASE)) < len(capacities):
        while limiter.free:
            limiter.start()
            latency = LATENCY * (1 + chance.uniform(-noise, noise))
            seconds, busy = target(limiter.in_flight, capacities[phase], latency)
            heapq.heappush(flying, (now + seconds, now, busy))
        assert flying, "the limiter starves its target"
        end, began, busy = heapq.heappop(flying)
        if now % PHASE > PHASE / 2:
            phases[phase].seconds += end - now
            phases[phase].total += limiter.limit * (end - now)
            phases[phase].limits.add(limiter.limit)
        now = end
        limiter.answered(began, now, busy=busy)
    return phases


@pytest.mark.parametrize("target", [refusing, queueing])
@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])
def test_the_limit_settles_within_a_fifth_of_the_capacity(target: Target, noise: float) -> None:
    capacities = [20, 5, 50, 100, 10]
    for capacity, settled in zip(capacities, simulate(target, capacities, noise), strict=True):
        assert settled.mean == pytest.approx(capacity, rel=0.2), capacity
        assert min(settled.limits) >= 1


def test_a_target_for_one_request_at_once_is_found() -> None:
    for target in (refusing, queueing):
        one, four = simulate(target, [1, 4], 0.3)
        assert one.mean < 2
        assert four.mean == pytest.approx(4, abs=1)


def test_the_limit_stays_for_an_hour() -> None:
    """The usual duration must not drift until a busy target is the usual one."""
    for settled in simulate(queueing, [20] * 60, 0.3):
        assert settled.mean == pytest.approx(20, rel=0.2)


def test_a_target_that_becomes_slower_at_any_load_is_not_starved() -> None:
    limiter, now = Limiter(MOST, adaptive=True), 0.0
    limits = []
    for latency in (0.01,) * 2000 + (0.1,) * 20_000:
        limiter.start()
        limiter.in_flight = max(limiter.in_flight, limiter.limit)
        limiter.answered(now, now + latency, busy=False)
        now += latency
        limits.append(limiter.limit)
    assert min(limits[3000:]) >= 1
    assert limits[-1] > 50


def test_after_a_breaker_has_closed_the_limit_is_one_two_four() -> None:
    limiter, limits = Limiter(16, adaptive=False), []
    limiter.slow_start()
    for _ in range(5):
        limits.append(limiter.limit)
        while limiter.free:
            limiter.start()
        for _ in range(limiter.in_flight):
            limiter.answered(0.0, 0.1, busy=False)
            while limiter.free:
                limiter.start()
    assert limits == [1, 2, 4, 8, 16]


def test_without_demand_the_limit_does_not_grow() -> None:
    limiter = Limiter(MOST, adaptive=True)
    for now in range(1000):
        limiter.start()
        limiter.answered(now, now + LATENCY, busy=False)
    assert limiter.limit <= 2


@given(st.integers(1, MOST), st.booleans(), st.lists(st.tuples(st.booleans(), st.floats(0, 10), st.booleans())))
def test_the_limit_is_always_from_one_to_the_maximum(
    most: int, adaptive: bool, events: list[tuple[bool, float, bool]]
) -> None:
    limiter, now = Limiter(most, adaptive=adaptive), 0.0
    for starts, seconds, busy in events:
        now += seconds
        if starts and limiter.free:
            limiter.start()
        elif limiter.in_flight:
            limiter.answered(now - seconds, now, busy=busy)
        assert 1 <= limiter.limit <= most
        assert 0 <= limiter.in_flight <= most
