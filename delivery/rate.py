"""The rate limit of a consumer: a token bucket, which limits the average rate and the number of requests at once."""

from __future__ import annotations

from domain.consumer import RateLimit


class TokenBucket:
    """A bucket that gains `per_second` tokens per second and holds at most `burst`. Each request takes one token. The
    bucket starts full."""

    __slots__ = ("_at", "_burst", "_per_second", "_tokens")

    def __init__(self, per_second: float, burst: float, now: float) -> None:
        self._per_second, self._burst = per_second, max(1.0, burst)
        self._tokens, self._at = self._burst, now

    def take(self, now: float) -> float:
        """Take a token and return 0; without one, return the seconds until there is one. `now` is in seconds of a
        monotonic clock."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens >= 1 - 1e-9:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_second

    def change(self, per_second: float, burst: float, now: float) -> None:
        """Change the rate from `now` on. The bucket keeps its tokens, up to the new burst."""
        self._tokens = min(max(1.0, burst), self._tokens + (now - self._at) * self._per_second)
        self._per_second, self._burst, self._at = per_second, max(1.0, burst), now


class Rate:
    """A worker's share of a consumer's rate limit, which may change or be missing."""

    __slots__ = ("_bucket",)

    def __init__(self) -> None:
        self._bucket: TokenBucket | None = None

    @property
    def limited(self) -> bool:
        return self._bucket is not None

    def change(self, limit: RateLimit | None, share: float, now: float) -> None:
        """Apply another limit, of which `share` (at most 1) is this worker's. `now` is as in TokenBucket."""
        if limit is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = TokenBucket(limit.per_second * share, limit.burst * share, now)
        else:
            self._bucket.change(limit.per_second * share, limit.burst * share, now)

    def take(self, now: float) -> float:
        """Take leave to send a request and return 0, or return the seconds until there is leave."""
        return self._bucket.take(now) if self._bucket else 0.0
