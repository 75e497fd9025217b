"""All commands of a service: generated ones, and those with a separate builder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import click

from cli import configuration, dead_letters, health, publish
from cli.command import check_sample, command, command_path
from cli.description import Description, Operation
from cli.names import GROUPS

_BUILDERS: dict[str, Callable[[Operation, Description], click.Command]] = {
    "messagePublish": publish.command,
    "replayDeadLetters": dead_letters.replay,
    "moveDeadLetters": dead_letters.replay,
    "deleteDeadLetters": dead_letters.replay,
    "healthReady": health.command,
    "exportConfiguration": configuration.export,
    "applyConfiguration": configuration.apply,
    "testConsumer": partial(command, finish=check_sample),
}

_STATIC = {"login", "logout"}
"""Commands of login.py, which must work without the service."""


def tree(description: Description) -> dict[str, click.Command]:
    """Return groups and single commands by name. Leave out pages for browsers."""
    found: dict[str, click.Command] = {"dead-letters": _group("dead-letters")}
    found["dead-letters"].add_command(dead_letters.list_dead_letters)  # type: ignore[attr-defined]
    for operation in description.operations.values():
        if operation.id in _STATIC or not returns_data(operation):
            continue
        *group, name = command_path(operation)
        made = _BUILDERS.get(operation.id, command)(operation, description)
        if group:
            whole = found.setdefault(group[0], _group(group[0]))
            assert isinstance(whole, click.Group)
            whole.add_command(made, name)
        else:
            found[name] = made
    return found


def returns_data(operation: Operation) -> bool:
    """Return whether the answer is data rather than a part of a page."""
    return operation.media.partition(";")[0] in ("application/json", "application/x-ndjson", "text/plain")


def _group(name: str) -> click.Group:
    return click.Group(name, help=GROUPS.get(name))
