"""Output for people: tables, and single items field by field. Control characters are escaped."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

_GAP = 2
_MIN_WIDTH = 12  # characters


def as_json(content: Any) -> None:
    """Print JSON, on a terminal with line breaks."""
    text = json.dumps(content, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)
    click.echo(printable(text, json.dumps, keep="\n"))


def table(items: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print one line for each item. On a terminal, cut the widest columns until a line fits."""
    columns = columns or [name for name, value in items[0].items() if not isinstance(value, (dict, list))]
    heads = [cell(name) for name in columns]
    rows = [[cell(item.get(name)) for name in columns] for item in items]
    widths = _fitting([max(map(len, column)) for column in zip(heads, *rows, strict=True)])
    numbers = [all(isinstance(item.get(name), (int, float, type(None))) for item in items) for name in columns]
    click.secho(_line(heads, widths, numbers), bold=True)
    for row in rows:
        click.echo(_line(row, widths, numbers))


def details(item: dict[str, Any]) -> None:
    """Print one line for each field, nested ones with dots (retry.jitter), then its lists as tables."""
    tables = {name: value for name, value in item.items() if _is_list_of_items(value)}
    lines = [(cell(name), value) for name, value in _flat(item) if name not in tables]
    width = max((len(name) for name, _ in lines), default=0)
    for name, value in lines:
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {cell(value)}")
    for name, items in tables.items():
        click.secho(f"\n{cell(name)}:", bold=True)
        table(items, [])


def _is_list_of_items(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _flat(item: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in item.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def change(content: dict[str, Any]) -> None:
    """Print the sentence of a change and its other fields: a new key, warnings."""
    click.echo(cell(content["message"]))
    for name, value in content.items():
        if isinstance(value, list):
            for one in value:
                click.echo(f"{cell(name)}: {cell(one)}")
        elif name != "message" and not isinstance(value, dict):
            click.echo(f"{cell(name)}: {cell(value)}")


def cell(value: Any) -> str:
    """Return a value in one line, with control characters escaped."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case dict() | list():
            text = json.dumps(value, ensure_ascii=False) if value else "-"
        case _:
            text = str(value)
    return printable(text)


def printable(text: str, quoted: Callable[[str], str] = repr, keep: str = "") -> str:
    """Return the text with characters that a terminal acts upon written as `quoted` does, except those to `keep`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else quoted(char)[1:-1] for char in text)


def _fitting(widths: list[int]) -> list[int]:
    if not sys.stdout.isatty():
        return widths
    room = shutil.get_terminal_size().columns - _GAP * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _MIN_WIDTH:
        widest = widths.index(max(widths))
        widths[widest] = max(_MIN_WIDTH, widths[widest] - (sum(widths) - room))
    return widths


def _line(texts: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    cut = [text if len(text) <= width else f"{text[: width - 1]}…" for text, width in zip(texts, widths, strict=True)]
    aligned = [t.rjust(w) if right else t.ljust(w) for t, w, right in zip(cut, widths, numbers, strict=True)]
    return (" " * _GAP).join(aligned).rstrip()
