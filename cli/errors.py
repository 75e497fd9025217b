"""Errors that end a command, with their exit status. 0 is success, 2 is click's own for wrong usage."""

from __future__ import annotations

from typing import Any

import click


class Failed(click.ClickException):
    """Status 1: the service refused, or the operation failed. stderr gets the sentence; `problem` is the service's
    whole error body (RFC 9457).
    """

    exit_code = 1

    def __init__(self, sentence: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.problem = problem


class Unreachable(Failed):
    """Status 3: the service does not answer. It may have received the request."""

    exit_code = 3


class LoginNeeded(Failed):
    """Status 4: there is no login, or it has expired."""

    exit_code = 4
