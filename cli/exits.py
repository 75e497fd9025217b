"""How a command ends: exit status 0 when it is done, 2 (click's own) when it was called wrongly, and these."""

from __future__ import annotations

from typing import Any

import click


class Failed(click.ClickException):
    """Status 1: the service refused, or what was asked for did not come about. The sentence goes to stderr; `problem`
    is the service's whole refusal (RFC 9457)."""

    exit_code = 1

    def __init__(self, sentence: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.problem = problem


class Unreachable(Failed):
    """Status 3: no service answers there. What was under way may have been done."""

    exit_code = 3


class LoginNeeded(Failed):
    """Status 4: there is no login, or it has ended."""

    exit_code = 4
