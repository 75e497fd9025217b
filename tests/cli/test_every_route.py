"""No route is without its command, and what a command takes is what the route takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import click
import pytest

from app import APIS
from cli import rmq
from cli.command import command_path
from cli.description import Description
from cli.fields import fields_of
from cli.names import GROUPS, NAMES
from cli.tree import returns_data, tree
from routes.openapi import document

DESCRIPTION = Description(document([(api.blueprint.name, api.operations) for api in APIS], "test"))
COMMANDS = {**tree(DESCRIPTION), **rmq.commands}


def commands() -> Iterator[tuple[str, click.Command]]:
    for name, one in COMMANDS.items():
        if isinstance(one, click.Group):
            yield from ((f"{name} {inner}", command) for inner, command in one.commands.items())
        else:
            yield name, one


@pytest.mark.parametrize("id_", [id_ for id_, one in DESCRIPTION.operations.items() if returns_data(one)])
def test_every_route_that_answers_data_has_a_command_with_a_name_of_its_own(id_: str) -> None:
    assert id_ in NAMES, f"say in cli/names.py what the command of {id_} is called"
    assert NAMES[id_].command in dict(commands())


def test_no_name_is_left_of_a_route_that_is_gone() -> None:
    assert set(NAMES) <= set(DESCRIPTION.operations)
    assert {name.split()[0] for name, _ in commands() if " " in name} <= set(GROUPS)


def test_no_two_routes_have_the_same_command_and_no_two_options_the_same_name() -> None:
    assert not [
        path
        for path, count in Counter(tuple(command_path(o)) for o in DESCRIPTION.operations.values()).items()
        if count > 1
    ]
    for name, command in commands():
        options = Counter(
            option for param in command.params for option in [param.name, *param.opts, *param.secondary_opts]
        )
        options -= Counter(param.name for param in command.params if isinstance(param, click.Argument))
        assert not [option for option, count in options.items() if count > 1], name


def test_every_field_of_a_route_can_be_given() -> None:
    by_hand = {"messagePublish": 4, "login": 2, "applyConfiguration": 1}  # fields that arguments or a file stand for
    for operation in DESCRIPTION.operations.values():
        if returns_data(operation) and operation.id not in by_hand:
            known = {param.name for param in dict(commands())[NAMES[operation.id].command].params}
            assert {field.name.replace("-", "_") for field in fields_of(operation, DESCRIPTION)} <= known, operation.id


def test_a_route_that_is_new_is_a_command_at_once() -> None:
    operation = {
        "operationId": "countThings",
        "tags": ["new_things"],
        "summary": "Count them",
        "description": "Count them.",
        "responses": {"200": {"content": {"application/json": {}}}},
    }
    found = tree(Description({"paths": {"/countThings": {"get": operation}}}))["new-things"]
    assert isinstance(found, click.Group)
    assert list(found.commands) == ["count-things"]
