"""The states of a consumer on a worker: a table from state and event to the next state, and the rights of each state.

docs/DELIVERY.md has the diagram; tests/unit/test_consumer_states.py draws it from the table.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, NamedTuple, get_args

from delivery import breaker
from domain.registry import Actual

State = Literal[
    "waiting", "starting", "running", "standby", "resting", "breaker-open", "probing", "suspended", "draining"
]
STATES: tuple[State, ...] = get_args(State)


class Event(Enum):
    """The values are the labels of the diagram."""

    CONNECTED = "broker connected"
    DISCONNECTED = "broker connection lost"
    UNDESCRIBED = "queue not described yet"
    CONSUMING = "broker sends messages"
    QUEUE_LOST = "queue missing"
    QUEUE_TAKEN = "another worker has the queue"
    BREAKER_OPENED = "breaker opened"
    BREAKER_HALF_OPENED = "breaker half open"
    BREAKER_CLOSED = "breaker closed"
    REFUSED = "target refuses"
    RESTED = "rest over"
    MISCONFIGURED = "refused ten times"
    CHANGED = "consumer changed"
    REMOVED = "consumer paused or deleted"


class Rights(NamedTuple):
    """The rights of a consumer in a state."""

    takes: bool
    """whether the consumer consumes from its queue, or tries to"""
    holds: bool = False
    """whether it keeps received messages without sending them"""


RIGHTS: dict[State, Rights] = {
    "waiting": Rights(takes=True),
    "starting": Rights(takes=True),
    "running": Rights(takes=True),
    "standby": Rights(takes=True),
    "probing": Rights(takes=True),
    "resting": Rights(takes=False, holds=True),
    "breaker-open": Rights(takes=False, holds=True),
    "suspended": Rights(takes=False),
    "draining": Rights(takes=False),
}

AS_BREAKER: Literal["as the breaker"] = "as the breaker"
"""Stands for the state that the target's circuit breaker allows: closed → `running` if the broker sends messages, else
`starting`; half open → `probing`; open → `breaker-open`."""

_TAKING: tuple[State, ...] = tuple(state for state in STATES if RIGHTS[state].takes)

TABLE: tuple[tuple[Event, tuple[State, ...], State | Literal["as the breaker"]], ...] = (
    (Event.CONNECTED, (*_TAKING, "breaker-open"), AS_BREAKER),
    (Event.DISCONNECTED, (*_TAKING, "breaker-open", "resting"), "waiting"),
    (Event.UNDESCRIBED, _TAKING, "waiting"),
    (Event.CONSUMING, ("waiting", "starting", "running", "standby"), AS_BREAKER),
    (Event.QUEUE_LOST, _TAKING, "waiting"),
    (Event.QUEUE_TAKEN, _TAKING, "standby"),
    (Event.BREAKER_OPENED, _TAKING, "breaker-open"),
    (Event.BREAKER_HALF_OPENED, ("breaker-open",), "probing"),
    (Event.BREAKER_CLOSED, ("breaker-open", "probing"), "running"),
    (Event.REFUSED, (*_TAKING, "resting"), "resting"),
    (Event.RESTED, ("resting",), AS_BREAKER),
    (Event.MISCONFIGURED, (*_TAKING, "breaker-open", "resting"), "suspended"),
    (Event.CHANGED, ("resting", "breaker-open", "probing", "suspended"), AS_BREAKER),
    (Event.REMOVED, (*_TAKING, "breaker-open", "resting", "suspended"), "draining"),
)
"""Rows of event, states and next state. In any other state the event changes nothing."""

_ROWS = {(state, event): target for event, states, target in TABLE for state in states}


def next_state(state: State, event: Event, breaker_state: breaker.State, *, consuming: bool) -> State | None:
    """Return the state after the event, or None if the event changes nothing. `consuming`: the broker sends
    messages."""
    target = _ROWS.get((state, event))
    return _resumed(breaker_state, consuming) if target == AS_BREAKER else target


def _resumed(breaker_state: breaker.State, consuming: bool) -> State:
    if breaker_state is breaker.State.CLOSED:
        return "running" if consuming else "starting"
    return "probing" if breaker_state is breaker.State.HALF_OPEN else "breaker-open"


def reported(state: State, *, failing: bool, throttled: bool) -> Actual:
    """Return the state that the API reports: `failing` if the last answer of a running consumer was not a success,
    `throttled` if the breaker is not closed because the target asked for a pause, else `state`."""
    if state == "running" and failing:
        return "failing"
    if state in ("breaker-open", "probing") and throttled:
        return "throttled"
    return state
