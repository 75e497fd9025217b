"""From an answer to an outcome: the table of docs/DELIVERY.md ("The target answers"), changeable per consumer."""

from __future__ import annotations

import re
from functools import cached_property

from pydantic import Field

from domain.model import Model
from domain.outcome import Answer, ErrorClass, Outcome

_RULE = re.compile(r"[1-5]xx|[1-5]\d\d|network|" + "|".join(error.value for error in ErrorClass))
_OURS = (ErrorClass.BLOCKED, ErrorClass.UNSENDABLE)
_TOO_MANY_REQUESTS, _UNAVAILABLE = 429, 503
_NETWORK = tuple(error.value for error in ErrorClass if error not in _OURS)
"""The errors that the rule `network` covers. It excludes `blocked`, because our own guard refused and the consumer is
misconfigured, and `unsendable`, because that message can never be sent."""


class OutcomeRules(Model):
    """Which answers mean what: statuses (`404`), classes (`5xx`), error classes (`timeout`), or `network` for all of
    those. What no rule names suspends."""

    success: tuple[str, ...] = Field(("2xx",), strict=False)
    retry: tuple[str, ...] = Field(("408", "425", "429", "5xx", "network"), strict=False)
    reject: tuple[str, ...] = Field(("400", "413", "415", "422"), strict=False)
    suspend: tuple[str, ...] = Field((), strict=False)

    @cached_property
    def table(self) -> OutcomeTable:
        """The rules, compiled. Raises ValueError with a sentence when a rule is not one, or stands under two outcomes;
        those of a consumer's spec are valid."""
        exact: dict[str, Outcome] = {}
        for name in OutcomeRules.model_fields:
            outcome = Outcome(name)
            for rule in _expand(getattr(self, name)):
                if exact.setdefault(rule, outcome) is not outcome:
                    raise ValueError(f"{rule!r} stands under both {exact[rule].value} and {outcome.value}")
        return OutcomeTable(exact)


class OutcomeTable:
    """Immutable."""

    __slots__ = ("_by_class", "_by_error", "_by_status")

    def __init__(self, rules: dict[str, Outcome]) -> None:
        self._by_status = {int(rule): outcome for rule, outcome in rules.items() if rule.isdigit()}
        self._by_class = {int(rule[0]): outcome for rule, outcome in rules.items() if rule.endswith("xx")}
        errors = {ErrorClass.UNSENDABLE.value: Outcome.REJECT} | rules
        self._by_error = {error: errors.get(error.value, Outcome.SUSPEND) for error in ErrorClass}

    def outcome_of(self, answer: Answer) -> Outcome:
        """A status takes precedence over its class. An answer that no rule names suspends, except `unsendable`, which
        rejects: the message is at fault, not the consumer.

        Where the rules say retry, 429 and a 503 with Retry-After (RFC 6585 §4, RFC 9110 §15.6.4) throttle: the target
        is healthy and asks for a pause.
        """
        if answer.error is not None:
            return self._by_error[answer.error]
        status = answer.status or 0
        outcome = self._by_status.get(status) or self._by_class.get(status // 100, Outcome.SUSPEND)
        return Outcome.THROTTLE if outcome is Outcome.RETRY and _asks_for_a_pause(answer) else outcome


def _asks_for_a_pause(answer: Answer) -> bool:
    return answer.status == _TOO_MANY_REQUESTS or (answer.status == _UNAVAILABLE and answer.retry_after is not None)


def _expand(names: tuple[str, ...]) -> list[str]:
    expanded: list[str] = []
    for name in names:
        if not _RULE.fullmatch(name):
            raise ValueError(
                f"{name!r} is no status (404), class of statuses (5xx), error ({', '.join(_NETWORK)}) or 'network'"
            )
        expanded += _NETWORK if name == "network" else (name,)
    return expanded
