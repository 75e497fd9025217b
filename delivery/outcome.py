"""From an answer to an outcome: the settlement table of docs/DELIVERY.md, changeable per consumer."""

from __future__ import annotations

import re
from collections.abc import Callable

from domain.consumer import OutcomeRules
from domain.outcome import Answer, ErrorClass, Outcome

_RULE = re.compile(r"[1-5]xx|[1-5]\d\d|network|" + "|".join(error.value for error in ErrorClass))
_OURS = (ErrorClass.BLOCKED, ErrorClass.UNSENDABLE)
_TOO_MANY_REQUESTS, _UNAVAILABLE = 429, 503
_NETWORK = tuple(error.value for error in ErrorClass if error not in _OURS)
"""The errors that the rule `network` covers. It excludes `blocked`, because our own guard refused and the consumer is
misconfigured, and `unsendable`, because that message can never be sent."""


def compile_rules(rules: OutcomeRules) -> Callable[[Answer], Outcome]:
    """A function from answer to outcome. A status takes precedence over its class. An answer that no rule names
    suspends, except `unsendable`, which rejects: the message is at fault, not the consumer.

    Where the rules say retry, 429 and a 503 with Retry-After (RFC 6585 §4, RFC 9110 §15.6.4) throttle: the target is
    healthy and asks for a pause.

    Raises ValueError with a sentence when a rule is not one, or stands under two outcomes.
    """
    exact: dict[str, Outcome] = {}
    for name in OutcomeRules.model_fields:
        outcome = Outcome(name)
        for rule in _expand(getattr(rules, name)):
            if exact.setdefault(rule, outcome) is not outcome:
                raise ValueError(f"{rule!r} stands under both {exact[rule].value} and {outcome.value}")
    by_status = [exact.get(str(status)) or exact.get(f"{status // 100}xx") or Outcome.SUSPEND for status in range(1000)]
    exact.setdefault(ErrorClass.UNSENDABLE.value, Outcome.REJECT)
    by_error = {error: exact.get(error.value, Outcome.SUSPEND) for error in ErrorClass}

    def decide(answer: Answer) -> Outcome:
        if answer.error is not None:
            return by_error[answer.error]
        outcome = by_status[answer.status or 0]
        return Outcome.THROTTLE if outcome is Outcome.RETRY and _asks_for_a_pause(answer) else outcome

    return decide


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
