"""Decides when a condition has begun and when it has ended, from observations and the time.

An observation counts only if all further ones agree with it for a minimum duration, so that a short condition
causes no event. If nothing was observed for a while, that duration starts again. Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from domain.condition import Condition, Event, Key, Kind, Observed


class Rule(NamedTuple):
    """The minimum durations of a kind, in seconds: a condition has begun when it has held for `begins`, and has ended
    when it has not held for `ends`. `grows`: it holds when its level has grown, and ends when it grows no more.
    `summary` and `over` are sentences about the beginning and the end."""

    begins: float
    ends: float
    summary: str
    over: str
    grows: bool = False


RULES: Mapping[Kind, Rule] = {
    "consumer.suspended": Rule(
        begins=5,
        ends=30,
        summary="Consumer {name!r} is suspended: {reason}",
        over="Consumer {name!r} is no longer suspended.",
    ),
    "breaker.opened": Rule(
        begins=30,
        ends=60,
        summary="Consumer {name!r} cannot deliver: {reason}",
        over="The circuit breaker of consumer {name!r} is closed.",
    ),
    "deadletters.grew": Rule(
        begins=10,
        ends=300,
        summary="Queue {name!r} has new dead letters; it holds {level}.",
        over="Queue {name!r} receives no more dead letters.",
        grows=True,
    ),
    "retries.overdue": Rule(
        begins=30, ends=60, summary="Retries are overdue in queue {name!r}. {reason}", over="No retry is overdue."
    ),
    "worker.none": Rule(
        begins=20, ends=20, summary="No worker is alive, so no message is delivered.", over="A worker is alive."
    ),
}


def advance(
    stored: Mapping[Key, Condition],
    observed: Mapping[Key, Observed | None],
    unknown: frozenset[Kind],
    now: float,
    new_id: Callable[[], str],
    rules: Mapping[Kind, Rule] = RULES,
    *,
    first: bool = False,
    gap: bool = False,
) -> Iterator[tuple[Key, Condition]]:
    """Yield the conditions that change. A condition without an entry in `observed` does not hold; None, or a kind in
    `unknown`, says that it is not known. `first`: nothing was observed before, so levels only become the base of later
    growth. `gap`: nothing was observed for so long that pending changes start again."""
    for key in stored.keys() | observed.keys():
        before, rule = stored.get(key, Condition()), rules[key.kind]
        seen = observed.get(key, None if key.kind in unknown else Observed(0))
        if seen is None:
            after = replace(before, turning_since=None)
        elif first and rule.grows:
            after = replace(before, level=seen.level)
        else:
            after = _turned(key, replace(before, turning_since=None) if gap else before, seen, now, new_id, rule)
        if after != before:
            yield key, after


def _turned(
    key: Key, before: Condition, seen: Observed, now: float, new_id: Callable[[], str], rule: Rule
) -> Condition:
    holds = seen.level > before.level
    level = (seen.level if before.raised else min(seen.level, before.level)) if rule.grows else 0
    if holds == before.raised:
        return replace(before, level=level, turning_since=None)
    since = now if before.turning_since is None else before.turning_since
    if now - since < (rule.ends if before.raised else rule.begins):
        return replace(before, level=level, turning_since=since)
    if before.begun is None:
        begun = _begun(key.kind, seen, since, new_id(), rule)
        return replace(before, raised=True, level=seen.level if rule.grows else 0, turning_since=None, begun=begun,
                       outbox=(*before.outbox, begun))  # fmt: skip
    began = before.begun
    over = rule.over.format(name=began.name)
    ended = replace(began, id=f"{began.incident}.ended", ended=True, time=since, summary=over)
    return replace(before, raised=False, level=level, turning_since=None, begun=None, outbox=(*before.outbox, ended))


def _begun(kind: Kind, seen: Observed, since: float, incident: str, rule: Rule) -> Event:
    summary = rule.summary.format(name=seen.name, reason=seen.reason, level=seen.level)
    return Event(
        id=f"{incident}.begun", kind=kind, ended=False, incident=incident, time=since, since=since, name=seen.name,
        queue_name=seen.queue_name, summary=summary,
    )  # fmt: skip
