"""When a condition has begun and ended: each case of the table, and what holds for any observations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.conditions import RULES, Rule, advance
from domain.condition import Condition, Event, Key, Kind, Observed

KEY = Key("breaker.opened", "id")
GROWING = Key("deadletters.grew", "orders.dlq")
LONG = {
    **RULES,
    "breaker.opened": Rule(3, 5, "{name} is open: {reason}", "{name} is closed."),
    "deadletters.grew": Rule(3, 5, "{name} has {level}", "{name} is quiet.", grows=True),
}


class Timeline:
    """The observations of one condition, one a second, and the events so far. A level of None is unknown."""

    def __init__(self, key: Key = KEY) -> None:
        self.key, self.now, self.events = key, 0.0, list[Event]()
        self._ids = count(1)
        self._stored: dict[Key, Condition] = {}

    def observe(
        self, *levels: int | None, first: bool = False, gap: bool = False, unknown: frozenset[Kind] = frozenset()
    ) -> list[str]:
        """Observe these levels; the types of the events."""
        for level in levels:
            self.now += 1
            found = {self.key: None if level is None else Observed(level, "orders", "orders", "HTTP 503")}
            if level == 0:
                found = {}
            changes = advance(
                self._stored, found, unknown, self.now, lambda: f"i{next(self._ids)}", LONG, first=first, gap=gap
            )
            for key, condition in list(changes):
                self._stored[key] = condition
        condition = self._stored.get(self.key, Condition())
        self.events = list(condition.outbox)
        return [event.type for event in self.events]

    @property
    def blank(self) -> bool:
        """Whether nothing is stored, but for its events."""
        condition = self._stored.get(self.key, Condition())
        return not (condition.raised or condition.level or condition.turning_since is not None or condition.begun)


BEGUN, ENDED = "breaker.opened", "breaker.opened.ended"


@pytest.mark.parametrize(
    ("levels", "types"),
    [
        ([1, 1, 1], []),
        ([1, 1, 1, 1], [BEGUN]),
        ([1, 1, 1, 1, 1, 1, 1], [BEGUN]),
        ([1, 1, 1, 0, 1, 1, 1], []),  # the time starts again
        ([1, 1, 1, None, 1, 1, 1], []),  # also when nothing was known
        ([1, 1, 1, None, 1, 1, 1, 1], [BEGUN]),
        ([1, 1, 1, 1, 0, 0, 0, 0, 0], [BEGUN]),
        ([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], [BEGUN, ENDED]),
        ([1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0], [BEGUN]),
        ([1, 1, 1, 1, 0, 0, 0, 0, 0, None, 0, 0, 0, 0, 0], [BEGUN]),
        ([1, 1, 1, 1, 0, 0, 0, 0, 0, None, 0, 0, 0, 0, 0, 0], [BEGUN, ENDED]),
        ([1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1], [BEGUN, ENDED, BEGUN]),
    ],
)
def test_an_observation_counts_when_it_has_lasted(levels: Sequence[int | None], types: list[str]) -> None:
    assert Timeline().observe(*levels) == types


GREW, QUIET = "deadletters.grew", "deadletters.grew.ended"


@pytest.mark.parametrize(
    ("levels", "types"),
    [
        ([1, 1, 1, 1], [GREW]),
        ([2, 0, 2, 0, 2, 0], []),  # a look puts a copy at the end before it acks the original
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], [GREW]),  # once, however long it grows
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], [GREW, QUIET]),
        ([1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2], [GREW]),
        ([1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2], [GREW, QUIET]),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2], [GREW, QUIET, GREW]),  # not emptied in between
        ([9, 9, 9, 9, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4], [GREW, QUIET, GREW]),  # a replay makes fewer the base
    ],
)
def test_dead_letters_are_told_when_there_are_more_than_before(levels: Sequence[int], types: list[str]) -> None:
    assert Timeline(GROWING).observe(*levels) == types


def test_dead_letters_of_before_the_first_observation_are_not_new() -> None:
    timeline = Timeline(GROWING)
    assert timeline.observe(500, first=True) == []
    assert timeline.observe(500, 500, 500, 500, 500) == []
    assert timeline.observe(501, 501, 501, 501) == [GREW]


def test_observations_before_a_gap_do_not_count() -> None:
    timeline = Timeline()
    timeline.observe(1, 1, 1)
    timeline.now += 1000
    assert timeline.observe(1, gap=True) == []
    assert timeline.observe(1, 1, 1) == [BEGUN]
    timeline.observe(0)
    timeline.now += 1000
    assert timeline.observe(0, gap=True) == [BEGUN]
    assert timeline.observe(0, 0, 0, 0, 0) == [BEGUN, ENDED]


def test_a_condition_of_a_kind_that_is_not_known_stays_as_it_is() -> None:
    timeline = Timeline()
    timeline.observe(1, 1, 1, 1)
    assert timeline.observe(*[0] * 20, unknown=frozenset({"breaker.opened"})) == [BEGUN]


def test_the_events_name_one_incident_and_say_since_when() -> None:
    timeline = Timeline()
    timeline.observe(0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0)
    begun, ended = timeline.events
    assert (begun.id, ended.id, begun.incident, ended.incident) == ("i1.begun", "i1.ended", "i1", "i1")
    assert (begun.time, ended.time, begun.since, ended.since) == (3, 8, 3, 3)
    assert (begun.summary, ended.summary) == ("orders is open: HTTP 503", "orders is closed.")


@pytest.mark.parametrize("kind", RULES)
def test_every_kind_has_sentences_that_need_no_more_than_is_observed(kind: Kind) -> None:
    rule = RULES[kind]
    assert rule.summary.format(name="orders", reason="HTTP 401", level=7).endswith(("HTTP 401", "."))
    assert rule.over.format(name="orders").endswith(".")
    assert rule.begins > 0
    assert rule.ends > 0


observations = st.lists(st.tuples(st.sampled_from([0, 1, 1, 2, 5, None]), st.booleans()), max_size=120)


@given(observations, st.sampled_from([KEY, GROWING]))
def test_begins_and_ends_alternate_never_faster_than_the_minimum_durations(
    given_: list[tuple[int | None, bool]], key: Key
) -> None:
    timeline, told = Timeline(key), list[float]()
    for level, gap in given_:
        before = len(timeline.events)
        timeline.observe(level, gap=gap)
        told += [timeline.now] * (len(timeline.events) - before)
    assert [event.ended for event in timeline.events] == [bool(number % 2) for number in range(len(timeline.events))]
    for (begun, ended), (at, then) in zip(pairwise(timeline.events), pairwise(told), strict=True):
        assert then - at >= (5 if ended.ended else 3)
        assert not ended.ended or begun.incident == ended.incident
    assert len({event.id for event in timeline.events}) == len(timeline.events)


@given(observations, st.sampled_from([KEY, GROWING]))
def test_every_beginning_has_one_end_after_the_condition_is_over(
    given_: list[tuple[int | None, bool]], key: Key
) -> None:
    timeline = Timeline(key)
    for level, gap in given_:
        timeline.observe(level, gap=gap)
    types = timeline.observe(*[0] * 7)
    assert types.count(key.kind) == types.count(f"{key.kind}.ended")
    assert timeline.blank
