"""docs/LOGGING.md has an example of every event that the code logs, with its level, logger and fields, and no other."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "LOGGING.md"
ELSEWHERE = {"tests", "var", "broker", "launcher", "emulators", "lib", "examples", "benchmarks", "cli", ".venv"}
"""Folders that are not part of the service's processes, or log in another format."""
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
OLD_NAMES = {"detail", "duration_ms", "retry_in", "retry_in_ms", "url", "msg", "exc"}
"""Field names that must not be used, because another name exists."""


@dataclass
class Logged:
    """All calls that log one event."""

    loggers: set[str] = field(default_factory=set)
    levels: set[str] = field(default_factory=set)
    fields: set[str] = field(default_factory=set)


def modules() -> Iterator[Path]:
    for path in ROOT.iterdir():
        if path.is_dir() and path.name not in ELSEWHERE:
            yield from path.rglob("*.py")
        elif path.suffix == ".py":
            yield path


def calls_in(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "log":
            assert isinstance(node, ast.Call)
            if called.attr in {*LEVELS, "log"}:
                yield called.attr, node


def logged() -> dict[str, Logged]:
    events: dict[str, Logged] = {}
    for path in modules():
        tree = ast.parse(path.read_text())
        name = re.search(r'^log = structlog\.get_logger\("(.+)"\)$', path.read_text(), re.MULTILINE)
        for method, call in calls_in(tree):
            assert name, f"{path}: log is not structlog's"
            for event in names_of(call.args[1 if method == "log" else 0], f"{path}:{call.lineno}"):
                one = events.setdefault(event, Logged())
                one.loggers.add(name[1])
                one.levels.add(LEVELS.get(method, "info"))
                fields = {keyword.arg for keyword in call.keywords if keyword.arg}
                one.fields |= {"exception" if name == "exc_info" else name for name in fields}
    return events


def names_of(event: ast.expr, place: str) -> list[str]:
    """The event's names: a literal, or one of two."""
    found = [event.body, event.orelse] if isinstance(event, ast.IfExp) else [event]
    names = [one.value for one in found if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    assert len(names) == len(found), f"{place}: the event is no literal, and nobody can look it up"
    return names


def documented() -> dict[str, list[dict[str, Any]]]:
    events: dict[str, list[dict[str, Any]]] = {}
    for block in re.findall(r"^```json\n(.+?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            example = json.loads(line)
            events.setdefault(example["event"], []).append(example)
    return events


def test_every_event_has_an_example_and_every_example_is_an_event() -> None:
    assert set(documented()) == set(logged())


def test_examples_have_the_level_the_logger_and_the_fields_of_the_code() -> None:
    events = logged()
    for event, examples in documented().items():
        for example in examples:
            assert list(example)[:4] == ["time", "level", "logger", "event"], event
            assert example["logger"] in events[event].loggers, event
            assert example["level"] in events[event].levels, event
            assert events[event].fields <= set(example), event


def test_an_event_is_a_name_and_not_a_sentence() -> None:
    assert not [event for event in logged() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", event)]


def test_the_same_thing_has_the_same_name_everywhere() -> None:
    assert not {event: names for event, one in logged().items() if (names := one.fields & OLD_NAMES)}
