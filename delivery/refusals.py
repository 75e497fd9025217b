"""Tells whether a refusal (401, 403, 404, 409 …) is due to one message or to the consumer's configuration."""

from __future__ import annotations

SUSPEND_AFTER = 10
"""Number of refusals in a row that suspends a consumer."""


class Refusals:
    """Records every answer of one revision of a consumer. `now` is in seconds of a monotonic clock."""

    __slots__ = (
        "_answers_since_success",
        "_longest_rest",
        "_recent",
        "_rests_until",
        "_succeeded_at",
        "_unsent",
        "row",
    )

    def __init__(self, recent: float, longest_rest: float = 5.0) -> None:
        """A success counts as recent for `recent` seconds. A consumer rests for at most `longest_rest` seconds."""
        self._recent, self._longest_rest = recent, longest_rest
        self._succeeded_at = float("-inf")
        self._answers_since_success = 0
        self._unsent = 0  # failures of the service in a row, each with its rest
        self._rests_until = float("-inf")
        self.row = 0
        """refusals since the last answer of another kind"""

    def success(self, now: float) -> None:
        self._succeeded_at = now
        self._answers_since_success = self._unsent = self.row = 0

    def failure(self) -> None:
        """Record a retry or a rejection, which says nothing about the configuration."""
        self._answers_since_success += 1
        self._unsent = self.row = 0

    def unsent(self, now: float) -> None:
        """Record that the service could not send a message. All messages that fail during one rest count once: one
        failure, such as a missing token, returns every message in flight."""
        if now >= self._rests_until:
            self._unsent += 1
            self._rests_until = now + self.rest

    def refusal(self, now: float) -> bool:
        """Record a refusal. Return whether the message is at fault and not the consumer: one of the last ten answers
        was a recent success."""
        self._answers_since_success += 1
        self._unsent = 0
        self.row += 1
        return self._answers_since_success <= SUSPEND_AFTER and now - self._succeeded_at <= self._recent

    @property
    def rest(self) -> float:
        """The rest in seconds after the last refusal, or the last failure of the service; it doubles with each in a
        row."""
        return float(min(self._longest_rest, 0.5 * 2 ** min(max(self.row, self._unsent) - 1, 10)))
