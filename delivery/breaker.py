"""A circuit breaker, which stops requests to a target that fails (M. Nygard, Release It!, §5.2)."""

from __future__ import annotations

from collections import deque
from enum import Enum

from domain.consumer import BreakerPolicy

_WINDOW = 100
_SHARE = 0.8
"""The breaker also opens when this share of the last _WINDOW answers failed, in a row or not."""


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """The state machine of one target and policy. Its owner reports answers, and calls `half_open` after the policy's
    `openSeconds`."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._row = 0
        self._window: deque[bool] = deque(maxlen=_WINDOW)
        self._failed = 0
        self._probing = False
        self.state = State.CLOSED

    def answered(self, failed: bool, *, probe: bool = False) -> bool:
        """Record an answer and return whether the state has changed. Unless the breaker is closed, only the probe's
        answer counts: the other requests were sent before it opened."""
        if self.state is State.CLOSED:
            if not failed and not self._failed:
                return False  # successes before the first failure need no place in the window
            self._count(failed)
            if self._row < self._policy.failures and self._failed < _WINDOW * _SHARE:
                return False
            self.state = State.OPEN
            return True
        if not probe or self.state is not State.HALF_OPEN:
            return False
        self._probing = False
        self.state = State.OPEN if failed else State.CLOSED
        self._forget()
        return True

    def open(self) -> None:
        """Open the breaker from any state, because the target asks for a pause. Earlier failures no longer count."""
        self.state = State.OPEN
        self._probing = False
        self._forget()

    def half_open(self) -> None:
        self.state = State.HALF_OPEN
        self._probing = False

    def take_probe(self) -> bool:
        """Return whether the caller may send the probe. At most one probe is in flight."""
        if self.state is not State.HALF_OPEN or self._probing:
            return False
        self._probing = True
        return True

    def drop_probe(self) -> None:
        """Note that the probe was not sent, so that another message may be the probe."""
        self._probing = False

    def _count(self, failed: bool) -> None:
        self._row = self._row + 1 if failed else 0
        if len(self._window) == _WINDOW:
            self._failed -= self._window[0]
        self._window.append(failed)
        self._failed += failed

    def _forget(self) -> None:
        self._row = self._failed = 0
        self._window.clear()
