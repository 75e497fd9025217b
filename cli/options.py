"""Converts fields to options and arguments of a command, and their values to a request."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from cli.fields import Field, default_of
from cli.shell_types import FileText, Json, Pair, Text


@dataclass(frozen=True, slots=True)
class Inputs:
    """The parts of a request."""

    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)


def parameters(fields: Sequence[Field], argument: str = "") -> list[click.Parameter]:
    """Return the click parameters of the fields. Required texts and the field `argument` are arguments, the others
    options.
    """
    made: list[click.Parameter] = []
    for one in fields:
        if is_argument(one, argument):
            word = one.name.replace("-", "_").upper()
            metavar = word if one.required else f"[{word}]"
            made.append(click.Argument([key(one)], required=False, metavar=metavar))
        else:
            made.append(_option(one))
            if one.kind == "secret":
                made.append(_from_stdin(one))
    return made


def is_argument(one: Field, argument: str) -> bool:
    """Return whether the field is an argument instead of an option."""
    return len(one.path) == 1 and one.kind == "text" and (one.required or one.path[0] == argument)


def key(one: Field) -> str:
    """Return the field's key in click's values."""
    return one.name.replace("-", "_")


def inputs(fields: Sequence[Field], typed: Mapping[str, Any], body: Mapping[str, Any] | None = None) -> Inputs:
    """Return the request for the values in `typed`, added to a whole `body`. Raises UsageError for a missing field."""
    result = Inputs(body=dict(body or {}))
    for one in fields:
        value = _secret(one, typed) if one.kind == "secret" else typed[key(one)]
        if value is None or value == ():
            if one.required and not (one.place == "body" and one.path[0] in result.body):
                raise click.UsageError(f"Missing {one.name.replace('-', '_').upper()}.")
            continue
        _put(getattr(result, "headers" if one.place == "header" else one.place), one.path, _sent(one, value))
    return result


def _sent(one: Field, value: Any) -> Any:
    if one.kind == "map":
        return dict(value)
    if one.place == "body":
        return list(value) if isinstance(value, tuple) else value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _put(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        inner = target.get(part)
        target[part] = target = dict(inner) if isinstance(inner, dict) else {}
    target[path[-1]] = value


def _option(one: Field) -> click.Option:
    default = default_of(one)
    text = "; ".join(part for part in (one.text, f"default {default}" if default else "") if part)
    if one.kind == "flag":
        return click.Option([key(one), f"--{one.name}/--no-{one.name}"], default=None, help=text)
    if one.kind == "secret":
        return click.Option([key(one), f"--{one.name}"], is_flag=True, help=text or "ask for it")
    several = one.kind in ("list", "map")
    hint = "repeatable" if several else "JSON, or @FILE, or @- for stdin" if one.kind == "json" else ""
    kind = _type(one)
    return click.Option(
        [key(one), f"--{one.name}"],
        type=kind,
        multiple=several,
        metavar="NUMBER" if kind.name.startswith(("integer", "float")) else None,
        help="; ".join(part for part in (text, hint) if part),
    )


def _from_stdin(one: Field) -> click.Option:
    return click.Option(
        [f"{key(one)}_stdin", f"--{one.name}-stdin"], is_flag=True, help=f"read --{one.name} from standard input"
    )


def _type(one: Field) -> click.ParamType[Any]:
    schema = one.schema.get("items", {}) if one.kind == "list" else one.schema
    if one.kind == "map":
        return Pair(typed=schema.get("additionalProperties") is True)
    if one.kind in ("json", "file"):
        return Json() if one.kind == "json" else FileText()
    if "enum" in schema:
        return click.Choice(schema["enum"])
    if schema.get("type") == "integer":
        limits = schema.get("minimum"), schema.get("maximum")
        return click.INT if limits == (None, None) else click.IntRange(*limits)
    if schema.get("type") == "number":
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        return click.FloatRange(least, schema.get("maximum"), min_open="exclusiveMinimum" in schema)
    return Text(schema.get("pattern") if one.place == "header" else None)


def _secret(one: Field, typed: Mapping[str, Any]) -> str | None:
    """Read a secret from standard input or a prompt. It is never an argument: all users can list those."""
    if typed[f"{key(one)}_stdin"]:
        return sys.stdin.readline().rstrip("\r\n")
    if typed[key(one)] or one.required:
        given: str = click.prompt(
            one.name.replace("-", " ").capitalize(), hide_input=True, confirmation_prompt=True, err=True
        )
        return given
    return None
