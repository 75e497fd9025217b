"""Why a start can fail. Each carries the one sentence that the operator reads."""

from __future__ import annotations


class StartFailed(Exception):
    """The service cannot be started; the message is one sentence and says what to change."""


class PortTaken(StartFailed):
    """Somebody else took a port between our look at it and its use: worth another try."""
