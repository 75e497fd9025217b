"""`flask rmq health`: each dependency of the service with its state, and exit status 1 when one is down."""

from __future__ import annotations

from typing import Any

import click

from cli import show
from cli.command import JSON, ask, last, text_of
from cli.description import Description, Operation
from cli.exits import Failed
from cli.options import Inputs
from cli.service import Service


def command(operation: Operation, description: Description) -> click.Command:
    """Shows what is up and what is down, whichever way the service answers."""

    @click.pass_obj
    def run(service: Service, as_json: bool) -> None:
        refused: Failed | None = None
        try:
            content: dict[str, Any] = ask(service, operation, Inputs()).json()
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

    return click.Command(
        last(operation), params=[JSON], callback=run, help=text_of(operation), short_help=operation.summary
    )
