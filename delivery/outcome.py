"""From an answer to an outcome: the settlement table of docs/DELIVERY.md, changeable per consumer."""

from __future__ import annotations

import re
from collections.abc import Callable

from domain.consumer import OutcomeRules
from domain.outcome import Answer, ErrorClass, Outcome

_RULE = re.compile(r"[1-5]xx|[1-5]\d\d|network|" + "|".join(error.value for error in ErrorClass))
_OURS = (ErrorClass.BLOCKED, ErrorClass.UNSENDABLE)
_NETWORK = tuple(error.value for error in ErrorClass if error not in _OURS)
"""What `network` stands for. `blocked` is not in it: our own guard refused, so the consumer is misconfigured. Nor is
`unsendable`: no time will mend that message."""


def compile_rules(rules: OutcomeRules) -> Callable[[Answer], Outcome]:
    """A function from answer to outcome. A status goes before its class; what no rule names suspends, but
    `unsendable`, which rejects: the message is to blame, not the consumer.

    Raises ValueError with a sentence when a rule is not one, or stands under two outcomes.
    """
    exact: dict[str, Outcome] = {}
    for outcome in Outcome:
        for rule in _expand(getattr(rules, outcome.value)):
            if exact.setdefault(rule, outcome) is not outcome:
                raise ValueError(f"{rule!r} stands under both {exact[rule].value} and {outcome.value}")
    by_status = [exact.get(str(status)) or exact.get(f"{status // 100}xx") or Outcome.SUSPEND for status in range(1000)]
    exact.setdefault(ErrorClass.UNSENDABLE.value, Outcome.REJECT)
    by_error = {error: exact.get(error.value, Outcome.SUSPEND) for error in ErrorClass}

    def decide(answer: Answer) -> Outcome:
        if answer.error is not None:
            return by_error[answer.error]
        return by_status[answer.status or 0]

    return decide


def _expand(names: tuple[str, ...]) -> list[str]:
    expanded: list[str] = []
    for name in names:
        if not _RULE.fullmatch(name):
            raise ValueError(
                f"{name!r} is no status (404), class of statuses (5xx), error ({', '.join(_NETWORK)}) or 'network'"
            )
        expanded += _NETWORK if name == "network" else (name,)
    return expanded
