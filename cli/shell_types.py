"""What is typed in a shell that click knows no type for."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

import click


class Text(click.ParamType[str]):
    """A text, of a pattern if one is said."""

    name = "text"

    def __init__(self, pattern: str | None = None) -> None:
        self._pattern = pattern

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself."""
        if self._pattern and not re.search(self._pattern, value):
            self.fail(f"{value!r} does not fit {self._pattern}", param, ctx)
        return str(value)


class Json(click.ParamType[Any]):
    """A JSON value, or a word that stands for itself; `@FILE` is what the file holds, `@-` standard input."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value."""
        if not isinstance(value, str):
            return value
        text = self._read(value[1:], param, ctx) if value.startswith("@") else value
        given = parsed(text)
        if given is text and text.lstrip()[:1] in ("{", "["):
            self.fail("is not valid JSON", param, ctx)
        return given

    def _read(self, source: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return sys.stdin.read() if source == "-" else Path(source).read_text()
        except (OSError, UnicodeError) as exc:
            self.fail(f"{source} cannot be read: {exc}", param, ctx)


class Object(Json):
    """A JSON object, given as Json is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """The object."""
        given = super().convert(value, param, ctx)
        if not isinstance(given, dict):
            self.fail('must be a JSON object, as in {"queueName": "orders"}', param, ctx)
        return given


class Pair(click.ParamType[tuple[str, Any]]):
    """`NAME=VALUE`; where values are `typed` one that is JSON counts as that: 10 is a number, "10" a text."""

    name = "name=value"

    def __init__(self, typed: bool) -> None:
        self._typed = typed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """The pair."""
        if isinstance(value, tuple):
            return value
        name, equals, content = value.partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        return name, parsed(content) if self._typed else content


def parsed(text: str) -> Any:
    """The JSON value that a text is, else the text."""
    try:
        return json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text


def _no_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON (RFC 8259 §6)")
