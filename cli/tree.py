"""All commands of one service: each operation in its group, some by hands of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click

from cli import dead_letters, health, publish
from cli.command import command, outcome_of_sample, path_of
from cli.description import Description, Operation
from cli.names import GROUPS

_MADE_BY: dict[str, Callable[[Operation, Description], click.Command]] = {
    "messagePublish": publish.command,
    "replayDeadLetters": dead_letters.replay,
    "healthReady": health.command,
    "testConsumer": partial(command, finish=outcome_of_sample),
}

_STATIC = {"login", "logout"}
"""Those of login.py: they must be there before the service is."""


def tree(description: Description) -> dict[str, click.Command]:
    """Groups and single commands by name. Pages for browsers are none."""
    found: dict[str, click.Command] = {"dead-letters": _group("dead-letters")}
    found["dead-letters"].add_command(dead_letters.list_dead_letters)  # type: ignore[attr-defined]
    for operation in description.operations.values():
        if operation.id in _STATIC or not is_for_programs(operation):
            continue
        *group, name = path_of(operation)
        made = _MADE_BY.get(operation.id, command)(operation, description)
        if group:
            whole = found.setdefault(group[0], _group(group[0]))
            assert isinstance(whole, click.Group)
            whole.add_command(made, name)
        else:
            found[name] = made
    return found


def is_for_programs(operation: Operation) -> bool:
    """Whether its answer is data, and no part of a page."""
    return operation.media.partition(";")[0] in ("application/json", "text/plain")


def _group(name: str) -> click.Group:
    return click.Group(name, help=GROUPS.get(name))
