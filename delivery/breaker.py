"""A circuit breaker: when no message goes to a target, and when one may try it (M. Nygard, Release It!, §5.2)."""

from __future__ import annotations

from collections import deque
from enum import Enum

from domain.consumer import BreakerPolicy

_WINDOW = 100
_SHARE = 0.8
"""It opens too when so large a share of the last answers failed, though not all in a row."""


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Fed with answers; its owner calls `half_open` when the policy's time is up."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._row = 0
        self._window: deque[bool] = deque(maxlen=_WINDOW)
        self._failed = 0
        self._probing = False
        self.state = State.CLOSED

    def answered(self, failed: bool, *, probe: bool = False) -> bool:
        """Whether the state has changed. While it is not closed only the probe's answer counts: the others were on
        their way before."""
        if self.state is State.CLOSED:
            if not failed and not self._failed:
                return False  # what came before the first failure of a window need not be in it
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
        """Open it, whatever it is: the target asks for a pause. What failed before does not count any more."""
        self.state = State.OPEN
        self._probing = False
        self._forget()

    def half_open(self) -> None:
        self.state = State.HALF_OPEN
        self._probing = False

    def take_probe(self) -> bool:
        """Whether the caller may send the one message that tries."""
        if self.state is not State.HALF_OPEN or self._probing:
            return False
        self._probing = True
        return True

    def drop_probe(self) -> None:
        """The message that was to try was never sent: another may."""
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
