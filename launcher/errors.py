"""Errors of a start. Each message is the sentence that the operator reads."""

from __future__ import annotations


class StartFailed(Exception):
    """The service cannot start. The message is one sentence and says what to change."""


class PortTaken(StartFailed):
    """Another program took a port between the launcher's check and its use; a retry may succeed."""
