"""How many requests may be in flight: additive increase, multiplicative decrease, and a slow start.

The increase and the halving are those of TCP (RFC 5681 §3.1); the recovery to nine tenths of the former limit is like
CUBIC's (RFC 9438 §4.6), and the comparison with the usual duration like TCP Vegas' (L. Brakmo and L. Peterson, 1995).
"""

from __future__ import annotations

import math

_FIRST_ROUND, _ROUND = 5, 20
"""Least numbers of answers from whose mean duration the usual one is learned, and with which it is compared."""
_QUICK, _SLOW = 0.3, 0.02
"""Weights of a round in the usual duration: with little load, and otherwise."""
_TOLERANCE = 1.1
"""Share of the usual duration above which the target is too busy, if chance does not explain it."""
_CHANCE = 2.5
"""Standard errors of a mean that chance explains."""
_RECOVERY = 0.9
"""Share of the limit at which the target was too busy, up to which the limit grows fast again."""
_LONGEST_PATIENCE = 256
"""Most answers to wait for before a limit is tried again at which the target was too busy."""


class Usual:
    """The usual duration of a request, in seconds. It is learned with one request in flight, and adjusted after each
    decrease, so that the duration at a busy target does not become the usual one."""

    __slots__ = ("_count", "_mean", "_squares", "_sum", "learns")

    def __init__(self) -> None:
        self._mean: float | None = None
        self.learns = True  # whether this round adjusts the usual duration
        self.forget()

    @property
    def known(self) -> bool:
        return self._mean is not None

    def forget(self) -> None:
        """Forget the round that has begun."""
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def exceeded(self, seconds: float, limit: int) -> float | None:
        """Take in the duration of a request. At the end of a round whose mean is too long, return by which share the
        limit must be reduced, else None."""
        self._count += 1
        self._sum += seconds
        self._squares += seconds * seconds
        if self._count < (max(_ROUND, limit) if self.known else _FIRST_ROUND):
            return None
        mean, usual = self._sum / self._count, self._mean
        chance = _CHANCE * math.sqrt(max(0.0, self._squares / self._count - mean * mean) / self._count)
        self.forget()
        if usual is None:
            self._mean, self.learns = mean, False
            return None
        learns, self.learns = self.learns, False
        if limit > 1 and mean > usual * _TOLERANCE + chance:
            self.learns = True
            return _RECOVERY * usual / mean
        weight = _QUICK if limit == 1 or learns else _SLOW
        self._mean = usual + (mean - usual) * weight
        return None


class Limiter:
    """The requests of one consumer of one worker. Times are in seconds of a monotonic clock."""

    __slots__ = (
        "_adaptive", "_ceiling", "_decreased", "_full", "_limit", "_most", "_patience", "_threshold", "_usual",
        "_waited", "in_flight",
    )  # fmt: skip

    def __init__(self, most: int, *, adaptive: bool) -> None:
        """At most `most` requests are in flight; if adaptive, it begins with one."""
        self._most, self._adaptive = most, adaptive
        self._limit = 1.0 if adaptive else float(most)
        self._threshold = float(most)  # below it, the limit grows by one with each answer; above, with each round
        self._ceiling = math.inf  # limit at which the target asked for fewer requests
        self._patience, self._waited = 1, 0  # answers before the ceiling is tried again, and those so far
        self._usual = Usual()
        self._decreased = 0.0  # time of the last decrease
        self._full = 0  # answers that are still to come of those in flight when the limit was last reached
        self.in_flight = 0

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def free(self) -> bool:
        """Whether another request may be sent."""
        return self.in_flight < int(self._limit)

    def change(self, most: int, *, adaptive: bool) -> None:
        """Apply another maximum. A higher one is reached step by step if adaptive."""
        self._most, self._adaptive = most, adaptive
        self._limit = min(self._limit, float(most)) if adaptive else float(most)

    def slow_start(self) -> None:
        """Begin with one request again, because the target was down."""
        self._limit, self._threshold = 1.0, float(self._most)
        self._usual.forget()

    def start(self) -> None:
        self.in_flight += 1
        if self.in_flight >= int(self._limit):
            self._full = self.in_flight

    def drop(self) -> None:
        """Note that a started request was not sent."""
        self.in_flight -= 1

    def answered(self, began: float, now: float, *, busy: bool) -> None:
        """Take in an answer; `busy` says whether the target asked for fewer requests, or did not answer in time."""
        self.in_flight -= 1
        share = None
        if self._adaptive and began >= self._decreased:  # earlier requests were sent under a higher limit
            share = 0.5 if busy else self._usual.exceeded(now - began, int(self._limit))
        if share is not None:
            self._decrease(max(0.5, share), now, busy=busy)
        elif self._full and not busy:  # without demand, a higher limit would mean nothing
            self._full -= 1
            self._increase()

    def _increase(self) -> None:
        if self._adaptive and self._usual.learns:
            return
        limit = min(
            float(self._most), self._limit + (1.0 if self._limit < self._threshold else 1 / max(self._limit, _ROUND))
        )
        if limit >= self._ceiling and self._waited < self._patience:
            self._waited += 1
        else:
            self._limit = limit

    def _decrease(self, share: float, now: float, *, busy: bool) -> None:
        if busy:
            again = int(self._limit) <= self._ceiling
            self._patience = min(2 * self._patience, _LONGEST_PATIENCE) if again else 1
            self._ceiling, self._waited = int(self._limit), 0
        self._threshold = self._limit * _RECOVERY if busy else 0.0
        self._limit = max(1.0, self._limit * share)
        self._usual.forget()
        self._decreased = now
