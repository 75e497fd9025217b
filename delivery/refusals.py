"""Tells whether a refusal (401, 403, 404, 409 …) is due to one message or to the consumer's configuration."""

from __future__ import annotations

SUSPEND_AFTER = 10
"""Number of refusals in a row that suspends a consumer."""


class Refusals:
    """Records every answer of one revision of a consumer. `now` is in seconds of a monotonic clock."""

    __slots__ = ("_answers_since_success", "_longest_rest", "_recent", "_succeeded_at", "row")

    def __init__(self, recent: float, longest_rest: float = 5.0) -> None:
        """A success counts as recent for `recent` seconds. A consumer rests for at most `longest_rest` seconds."""
        self._recent, self._longest_rest = recent, longest_rest
        self._succeeded_at = float("-inf")
        self._answers_since_success = 0
        self.row = 0
        """refusals since the last answer of another kind"""

    def success(self, now: float) -> None:
        self._succeeded_at = now
        self._answers_since_success = self.row = 0

    def failure(self) -> None:
        """Record a retry or a rejection, which says nothing about the configuration."""
        self._answers_since_success += 1
        self.row = 0

    def refusal(self, now: float) -> bool:
        """Record a refusal. Return whether the message is at fault and not the consumer: one of the last ten answers
        was a recent success."""
        self._answers_since_success += 1
        self.row += 1
        return self._answers_since_success <= SUSPEND_AFTER and now - self._succeeded_at <= self._recent

    @property
    def rest(self) -> float:
        """The rest after the last refusal in seconds; it doubles with each refusal in a row."""
        return float(min(self._longest_rest, 0.5 * 2 ** (self.row - 1)))
