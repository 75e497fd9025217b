"""`flask rmq export` and `flask rmq apply`: the configuration of a service as a YAML file."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from cli import references, show, yaml_text
from cli.command import JSON, built, send
from cli.description import Description, Operation
from cli.errors import Failed
from cli.fields import fields_of
from cli.options import inputs, parameters
from cli.service import Service

_TIMEOUT = (5, 3600)
"""Seconds to connect, and to apply a configuration."""

_SIGNS = {
    "create": click.style("+", fg="green"),
    "change": click.style("~", fg="yellow"),
    "delete": click.style("-", fg="red"),
}
_ADVICE = """In FILE, ${env:NAME} stands for the value of an environment variable of this machine, and ${file:PATH} for
the text of a file, relative to FILE. The command resolves them; the service gets the values."""


def export(operation: Operation, description: Description) -> click.Command:
    """Build `export`, which prints YAML."""
    fields = fields_of(operation, description)

    @click.pass_obj
    def run(service: Service, /, as_json: bool, **typed: Any) -> None:
        content = send(service, operation, inputs(fields, typed)).json()
        for one in content["notExported"]:
            click.echo(show.printable(f"Not exported: {one['kind']} {one['name']}. {one['reason']}"), err=True)
        configuration = references.escaped(content["configuration"])
        show.as_json(configuration) if as_json else click.echo(yaml_text.written(configuration), nl=False)

    return built(operation, [*parameters(fields), JSON], run)


def apply(operation: Operation, description: Description) -> click.Command:
    """Build `apply`, which reads YAML or JSON and prints the steps."""
    fields = [one for one in fields_of(operation, description) if one.path[0] != "configuration"]
    file = click.Option(
        ["path", "-f", "--file"], metavar="FILE", required=True, help="the configuration, YAML or JSON; - for stdin"
    )

    @click.pass_obj
    def run(service: Service, /, path: str, as_json: bool, **typed: Any) -> None:
        given = inputs(fields, typed)
        body = {**given.body, "configuration": _read(path)}
        content = service.request(operation.method, operation.path, body=body, timeout=_TIMEOUT).json()
        show.as_json(content) if as_json else _show(content)
        states = Counter(step["state"] for step in content["steps"])
        if left := states["blocked"] + states["failed"]:
            raise Failed(f"{left} of {states.total()} steps {'was' if left == 1 else 'were'} blocked or failed.")

    return built(operation, [file, *parameters(fields), JSON], run, advice=_ADVICE)


def _read(path: str) -> Any:
    """Return the configuration in a file, with its references resolved. Raises Failed."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
        content = yaml_text.read(text)
    except (OSError, ValueError) as exc:
        raise Failed(f"{path} {exc}." if type(exc) is ValueError else f"{path} cannot be read: {exc}.") from None
    if not isinstance(content, dict):
        raise Failed(f"{path} must be a mapping with sections such as `queues:`.")
    try:
        sections = {name: entries for name, entries in content.items() if entries is not None}
        return references.resolved(sections, Path() if path == "-" else Path(path).parent)
    except ValueError as exc:
        raise Failed(str(exc)) from None


def _show(content: dict[str, Any]) -> None:
    for step in content["steps"]:
        click.echo(f"{_SIGNS[step['action']]} {step['kind']} {show.printable(step['name'])}")
        for change in step["changes"]:
            before = "" if step["action"] == "create" else f"{show.cell(change['from'])} → "
            click.echo(f"    {show.printable(change['field'])}: {before}{show.cell(change['to'])}")
        if step["detail"] or step["state"] == "failed":
            click.echo(f"    {step['state']}: {show.printable(step['detail'])}")
        if step["key"]:
            click.echo(f"    key (never shown again): {step['key']}")
    made = Counter((step["action"], step["state"]) for step in content["steps"])
    counts = [f"{count} {action} {state}" for (action, state), count in made.items()]
    click.echo(f"{content['message']} {', '.join(counts)}".strip())
