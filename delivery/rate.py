"""A token bucket: so many requests a second on the long run, so many at once."""

from __future__ import annotations


class TokenBucket:
    """`per_second` tokens flow in, up to `burst` of them; each request takes one. It starts full."""

    __slots__ = ("_at", "_burst", "_per_second", "_tokens")

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second, self._burst = per_second, max(1.0, burst)
        self._tokens, self._at = self._burst, now

    def take(self, now: float) -> float:
        """0 when a token was taken; else the seconds until there is one. `now` in seconds of a steady clock."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens >= 1 - 1e-9:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_second

    def change(self, per_second: float, burst: float, now: float) -> None:
        """Another rate from `now` on; what has flowed in stays, as far as the new burst holds it."""
        self._tokens = min(max(1.0, burst), self._tokens + (now - self._at) * self._per_second)
        self._per_second, self._burst, self._at = per_second, max(1.0, burst), now
