"""One operation as one command: its fields are the options, its answer is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click
import requests

from cli import show
from cli.description import Description, Operation
from cli.exits import Failed
from cli.fields import Field, fields_of
from cli.names import NAMES, Name
from cli.options import Inputs, inputs, parameters
from cli.service import Service
from cli.shell_types import Object

PAGE_SIZE = 500  # the most that the API gives at once

JSON = click.Option(["as_json", "--json"], is_flag=True, help="for programs: the answer as JSON")
BODY = click.Option(
    ["whole", "--body"],
    type=Object(),
    help="the whole body as JSON, or @FILE or @- for it; other options go before what it says",
)
ALL = click.Option(["everything", "--all"], is_flag=True, help="all pages")

Finish = Callable[[Any], None]


def command(operation: Operation, description: Description, finish: Finish | None = None) -> click.Command:
    """It asks the service that the context holds. `finish` may find what was answered to be a failure."""
    name = NAMES.get(operation.id, Name(""))
    fields = fields_of(operation, description)
    params = parameters(fields, name.argument)
    params += [BODY] if operation.body else []
    params += [ALL] if _is_list(fields) else []
    params += [JSON] if operation.media == "application/json" else []

    @click.pass_obj
    def run(service: Service, /, **typed: Any) -> None:
        given = inputs(fields, typed, typed.get("whole"))
        if typed.get("everything"):
            items = _every_page(service, operation, given)
            _show(items, typed["as_json"], _columns(name, given))
            return
        answer = ask(service, operation, given)
        if operation.media != "application/json":
            click.echo(answer.text, nl=False)
            return
        content = answer.json()
        _show(content, typed["as_json"], _columns(name, given))
        _say_more(answer, given)
        if finish:
            finish(content)

    return click.Command(
        last(operation), params=params, callback=run, help=text_of(operation), short_help=operation.summary
    )


def ask(service: Service, operation: Operation, given: Inputs) -> requests.Response:
    """Carry an operation out."""
    body = given.body if operation.body else None
    return service.ask(operation.method, operation.path, query=given.query, body=body, headers=given.headers)


def text_of(operation: Operation) -> str:
    """What its help says."""
    role = f" It takes the role {operation.role}." if operation.role else ""
    return f"{operation.text}\n\nThis is {operation.method} {operation.path}.{role}"


def last(operation: Operation) -> str:
    """What it is called in its group."""
    return path_of(operation)[-1]


def path_of(operation: Operation) -> list[str]:
    """Its group, if it is in one, and its name; one that names.py does not know is called after its route."""
    if known := NAMES.get(operation.id):
        return known.command.split()
    return [operation.tag.replace("_", "-"), Field("query", (operation.id,), "text", {}, False, "").name]


def outcome_of_sample(content: Mapping[str, Any]) -> None:
    """A sample that its target would not take is a failure. Raises Failed."""
    if content["outcome"] != "success":
        raise Failed(f"The target would not take it: {content['reason']}.")


def _is_list(fields: list[Field]) -> bool:
    return any(field.path == ("page",) for field in fields)


def _every_page(service: Service, operation: Operation, given: Inputs) -> list[Any]:
    items: list[Any] = []
    number, total = 1, 1
    while len(items) < total:
        query = {**given.query, "page": number, "pageSize": PAGE_SIZE}
        answer = ask(service, operation, Inputs(query, given.headers))
        page = answer.json()
        if not page:
            break
        items += page
        number, total = number + 1, int(answer.headers["X-Total-Count"])
    return items


def _columns(name: Name, given: Inputs) -> list[str]:
    asked = given.query.get("fields", "")
    return asked.split(",") if asked else name.columns.split()


def _show(content: Any, as_json: bool, columns: list[str]) -> None:
    if as_json:
        show.as_json(content)
    elif isinstance(content, list):
        if content:
            show.table(content, columns)
        else:
            click.echo("None.", err=True)
    elif "message" in content and len(content) <= 5:
        show.done(content)
    else:
        show.details(content)


def _say_more(answer: requests.Response, given: Inputs) -> None:
    total = int(answer.headers.get("X-Total-Count", 0))
    shown = len(answer.json()) if total else 0
    if 0 < shown < total:
        page = int(given.query.get("page", 1))
        click.echo(f"{shown} of {total}, page {page}; --page {page + 1} shows more, --all everything.", err=True)
