"""click parameter types for JSON, texts and pairs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

import click


class Text(click.ParamType[str]):
    """A text that matches an optional pattern."""

    name = "text"

    def __init__(self, pattern: str | None = None) -> None:
        self._pattern = pattern

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if self._pattern and not re.search(self._pattern, value):
            self.fail(f"{value!r} does not fit {self._pattern}", param, ctx)
        return str(value)


class FileText(click.ParamType[str]):
    """The path of a text file, `-` for standard input; its content is the value."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return sys.stdin.read() if value == "-" else Path(value).read_text()
        except (OSError, UnicodeError) as exc:
            self.fail(f"{value} cannot be read: {exc}", param, ctx)


class Json(click.ParamType[Any]):
    """A JSON value or a bare word. `@FILE` reads a file, `@-` standard input."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        text = FileText().convert(value[1:], param, ctx) if value.startswith("@") else value
        given = parsed(text)
        if given is text and text.lstrip()[:1] in ("{", "["):
            self.fail("is not valid JSON", param, ctx)
        return given


class Object(Json):
    """A JSON object, spelled as for Json."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        given = super().convert(value, param, ctx)
        if not isinstance(given, dict):
            self.fail('must be a JSON object, as in {"queueName": "orders"}', param, ctx)
        return given


class Pair(click.ParamType[tuple[str, Any]]):
    """`NAME=VALUE`. With `typed`, a JSON value keeps its type: 10 is a number, "10" a text."""

    name = "name=value"

    def __init__(self, typed: bool) -> None:
        self._typed = typed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        name, equals, content = value.partition("=")
        if not equals or not name:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        return name, parsed(content) if self._typed else content


def parsed(text: str) -> Any:
    """Return the JSON value of a text, or the text itself."""
    try:
        return json.loads(text, parse_constant=not_json)
    except (ValueError, RecursionError):
        return text


def not_json(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python's JSON parser accepts."""
    raise ValueError(f"{name} is not JSON (RFC 8259 §6)")
