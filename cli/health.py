"""`flask rmq health`: shows the state of each dependency; exit status 1 if one is down."""

from __future__ import annotations

from typing import Any

import click

from cli import show
from cli.command import JSON, built, send
from cli.description import Description, Operation
from cli.errors import Failed
from cli.options import Inputs
from cli.service import Service


def command(operation: Operation, description: Description) -> click.Command:
    """Build the command. It shows all dependencies, also when the service answers 503."""

    @click.pass_obj
    def run(service: Service, as_json: bool) -> None:
        refused: Failed | None = None
        try:
            content: dict[str, Any] = send(service, operation, Inputs()).json()
        except Failed as error:
            if error.problem is None or "dependencies" not in error.problem:
                raise
            content, refused = error.problem, error
        if as_json:
            show.as_json(content)
        else:
            show.table([{"dependency": name, **state} for name, state in content["dependencies"].items()], [])
            show.details({"workers": content.get("workers")})
        if refused:
            raise refused

    return built(operation, [JSON], run)
