"""The table of a consumer's states, and the diagram of it in docs/DELIVERY.md."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from delivery.breaker import State as BreakerState
from delivery.consumer_states import AS_BREAKER, RIGHTS, STATES, TABLE, Event, State, next_state, reported
from domain.registry import Actual

DOCUMENT = Path(__file__).parents[2] / "docs/DELIVERY.md"
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def drawn() -> str:
    """The table as a Mermaid state diagram: one arrow for each pair of states, with its events."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for event, states, target in TABLE:
        for state in states:
            arrows.setdefault((state, "breaker" if target == AS_BREAKER else target), []).append(event.value)
    choice = [("running", "closed, broker sends"), ("starting", "closed"), ("probing", "half open"),
              ("breaker-open", "open")]  # fmt: skip
    arrows |= {("breaker", target): [label] for target, label in choice}
    lines = [
        "stateDiagram-v2",
        "    state breaker <<choice>>",
        "    [*] --> waiting",
        *(f"    {_id(a)} --> {_id(b)}: {', '.join(labels)}" for (a, b), labels in arrows.items()),
        "    draining --> [*]",
    ]
    return "\n".join(["```mermaid", *lines, "```"])


def _id(state: str) -> str:
    return state.replace("-", "_")


def test_the_document_has_the_diagram_of_the_table() -> None:
    assert drawn() in DOCUMENT.read_text(), f"docs/DELIVERY.md must have this diagram:\n{drawn()}"


@pytest.mark.parametrize(("event", "states", "target"), TABLE)
def test_an_event_leads_from_its_states_to_its_target_and_changes_nothing_elsewhere(
    event: Event, states: tuple[State, ...], target: str
) -> None:
    as_breaker = {CLOSED: "starting", HALF_OPEN: "probing", OPEN: "breaker-open"}
    for state, breaker in product(STATES, BreakerState):
        expected = None if state not in states else as_breaker[breaker] if target == AS_BREAKER else target
        assert next_state(state, event, breaker, consuming=False) == expected


def test_each_event_has_one_row() -> None:
    assert [event for event, _, _ in TABLE] == list(dict.fromkeys(event for event, _, _ in TABLE))
    assert {event for event, _, _ in TABLE} == set(Event)


def test_with_a_closed_breaker_a_consumer_runs_once_the_broker_sends() -> None:
    assert next_state("starting", Event.CONSUMING, CLOSED, consuming=True) == "running"


def test_every_state_can_be_left_for_draining_and_draining_is_the_end() -> None:
    for state in STATES:
        after = next_state(state, Event.REMOVED, CLOSED, consuming=True)
        assert after == (None if state == "draining" else "draining")
        for event in Event:
            assert next_state("draining", event, CLOSED, consuming=True) is None, state


def test_a_suspended_consumer_only_goes_on_when_it_is_changed() -> None:
    leaving = {event for event in Event if next_state("suspended", event, CLOSED, consuming=True)}
    assert leaving == {Event.CHANGED, Event.REMOVED}


def test_a_state_that_takes_messages_does_not_hold_them() -> None:
    assert set(RIGHTS) == set(STATES)
    assert not [state for state, rights in RIGHTS.items() if rights.takes and rights.holds]


def test_users_see_each_state_or_what_it_means() -> None:
    shown = {reported(state, failing=f, throttled=t) for state in STATES for f in (True, False) for t in (True, False)}
    assert shown == set(get_args(Actual))
