"""Builds a command from an operation: the fields become options, the answer is printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click
import requests

from cli import show
from cli.description import Description, Operation
from cli.errors import Failed
from cli.fields import Field, fields_of
from cli.names import NAMES, Name
from cli.options import Inputs, inputs, parameters
from cli.service import Service
from cli.shell_types import Object

PAGE_SIZE = 500  # the API's maximum

JSON = click.Option(["as_json", "--json"], is_flag=True, help="print the answer as JSON, for programs")
BODY = click.Option(
    ["whole", "--body"],
    type=Object(),
    help="the whole body as JSON, or @FILE, or @- for stdin; other options override its fields",
)
ALL = click.Option(["everything", "--all"], is_flag=True, help="all pages")

Finish = Callable[[Any], None]


def command(operation: Operation, description: Description, finish: Finish | None = None) -> click.Command:
    """Build the command of an operation. It uses the service in the context. `finish` checks the answer."""
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
        answer = send(service, operation, given)
        if operation.media != "application/json":
            click.echo(show.printable(answer.text, keep="\n"), nl=False)
            return
        content = answer.json()
        _show(content, typed["as_json"], _columns(name, given))
        _hint_next_page(answer, given)
        if finish:
            finish(content)

    return built(operation, params, run)


def built(
    operation: Operation,
    params: list[click.Parameter],
    run: Callable[..., None],
    text: str = "",
    advice: str = "",
) -> click.Command:
    """Return the command that calls `run`. Its help is `text`, by default the operation's, and `advice`."""
    role = f" Required role: {operation.role}." if operation.role else ""
    whole = f"{text or operation.text}\n\nThis is {operation.method} {operation.path}.{role}\n\n{advice}".rstrip()
    name = command_path(operation)[-1]
    return click.Command(name, params=params, callback=run, help=whole, short_help=operation.summary)


def send(service: Service, operation: Operation, given: Inputs) -> requests.Response:
    """Send the operation's request."""
    body = given.body if operation.body else None
    return service.request(operation.method, operation.path, query=given.query, body=body, headers=given.headers)


def command_path(operation: Operation) -> list[str]:
    """Return the command's group, if any, and name. Without an entry in names.py it is named after its route."""
    if known := NAMES.get(operation.id):
        return known.command.split()
    return [operation.tag.replace("_", "-"), Field("query", (operation.id,), "text", {}, False, "").name]


def check_sample(content: Mapping[str, Any]) -> None:
    """Raise Failed for a sample that its target refuses, or that would not be sent."""
    if content["outcome"] == "filtered" or content.get("request", ...) is None:
        raise Failed(f"The sample would not be sent: {content['reason']}.")
    if content["outcome"] not in ("success", "send"):
        raise Failed(f"The target would refuse the sample: {content['reason']}.")


def _is_list(fields: list[Field]) -> bool:
    return any(field.path == ("page",) for field in fields)


def _every_page(service: Service, operation: Operation, given: Inputs) -> list[Any]:
    items: list[Any] = []
    number, total = 1, 1
    while len(items) < total:
        query = {**given.query, "page": number, "pageSize": PAGE_SIZE}
        answer = send(service, operation, Inputs(query, given.headers))
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
            click.echo("No items.", err=True)
    elif "message" in content and len(content) <= 5:
        show.change(content)
    else:
        show.details(content)


def _hint_next_page(answer: requests.Response, given: Inputs) -> None:
    total = int(answer.headers.get("X-Total-Count", 0))
    shown = len(answer.json()) if total else 0
    if 0 < shown < total:
        page = int(given.query.get("page", 1))
        click.echo(
            f"{shown} of {total}, page {page}; use --page {page + 1} for the next page, --all for all.", err=True
        )
