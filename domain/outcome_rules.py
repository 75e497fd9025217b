"""Rules that map an answer to its outcome: the table in docs/DELIVERY.md ("Outcomes"). A consumer may change it."""

from __future__ import annotations

import re
from functools import lru_cache

from pydantic import Field

from domain.model import Model
from domain.outcome import NEVER_ASKED, Answer, ErrorClass, Outcome

_UNRULED = {
    ErrorClass.UNSENDABLE: Outcome.REJECT,  # the message is at fault, not the consumer
    ErrorClass.FILTERED: Outcome.FILTERED,
    ErrorClass.ROUTED: Outcome.ROUTED,
    ErrorClass.TOKEN: Outcome.UNSENT,
    ErrorClass.PROXY: Outcome.UNSENT,
    ErrorClass.INTERNAL: Outcome.UNSENT,
}
"""Outcomes of errors that no rule names, if that is not SUSPEND."""
_FIXED = (ErrorClass.FILTERED, ErrorClass.ROUTED, ErrorClass.TEMPLATE, ErrorClass.INTERNAL)
"""Errors that no rule can name."""
_NETWORK = tuple(error.value for error in ErrorClass if error not in NEVER_ASKED)
"""The errors that the rule `network` covers: a request was sent, or the target could not be reached."""
_RULE = re.compile(r"[1-5]xx|[1-5]\d\d|network|" + "|".join(error.value for error in ErrorClass if error not in _FIXED))
_TOO_MANY_REQUESTS, _UNAVAILABLE = 429, 503


class OutcomeRules(Model):
    """Answers for each outcome: statuses (`404`), classes of statuses (`5xx`), error classes (`timeout`), or `network`
    for all error classes. An answer that no rule names suspends."""

    success: tuple[str, ...] = Field(("2xx",), strict=False)
    retry: tuple[str, ...] = Field(("408", "425", "429", "5xx", "network"), strict=False)
    reject: tuple[str, ...] = Field(("400", "413", "415", "422"), strict=False)
    suspend: tuple[str, ...] = Field((), strict=False)

    @property
    def table(self) -> OutcomeTable:
        """The compiled rules. Raises ValueError with a sentence if a rule is invalid or belongs to two outcomes; the
        rules of a validated ConsumerSpec never raise."""
        return _compiled(self)


class OutcomeTable(dict[int | ErrorClass, Outcome]):
    """The outcome of each status and error, computed on first use. Threads may share a table."""

    def __init__(self, rules: dict[str, Outcome]) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, found: int | ErrorClass) -> Outcome:
        """Compute and keep an outcome. A rule for a status takes precedence over one for its class. Without a rule an
        answer suspends, except the errors of `_UNRULED`."""
        names = (found.value,) if isinstance(found, ErrorClass) else (str(found), f"{found // 100}xx")
        unruled = _UNRULED.get(found, Outcome.SUSPEND) if isinstance(found, ErrorClass) else Outcome.SUSPEND
        self[found] = outcome = next((self._rules[name] for name in names if name in self._rules), unruled)
        return outcome

    def outcome_of(self, answer: Answer) -> Outcome:
        """Return the outcome of an answer. If the rules say retry, 429 and 503 with Retry-After throttle instead,
        because the target is healthy and asks for a pause (RFC 6585 §4, RFC 9110 §15.6.4)."""
        outcome = self[answer.error or answer.status or 0]
        return Outcome.THROTTLE if outcome is Outcome.RETRY and _asks_for_a_pause(answer) else outcome


def _asks_for_a_pause(answer: Answer) -> bool:
    return answer.status == _TOO_MANY_REQUESTS or (answer.status == _UNAVAILABLE and answer.retry_after is not None)


@lru_cache(maxsize=256)
def _compiled(rules: OutcomeRules) -> OutcomeTable:
    table: dict[str, Outcome] = {}
    for name in OutcomeRules.model_fields:
        outcome = Outcome(name)
        for written in getattr(rules, name):
            if not _RULE.fullmatch(written):
                allowed = f"a status (404), a class of statuses (5xx), an error ({', '.join(_NETWORK)}), 'network'"
                raise ValueError(f"unknown rule {written!r}; allowed: {allowed}")
            for rule in _NETWORK if written == "network" else (written,):
                if table.setdefault(rule, outcome) is not outcome:
                    raise ValueError(f"{rule!r} is listed under both {table[rule].value} and {name}")
    return OutcomeTable(table)
