"""Renders the payload of a message by a template. Runs in a process of its own (gateway/rendering), because a template
can make minijinja overflow the stack or calculate for ever.

A template sees plain JSON: no method of any value, no function that changes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from minijinja import Environment, TemplateError

from delivery.unsendable import BadTemplate, Unsendable

MAX_OUTPUT = 16 * 2**20
"""Bytes of a rendered payload."""
MAX_BODY_DEPTH = 100
"""Objects and arrays inside each other, in a body that a template uses."""
_KEPT = 500
"""Templates that are kept compiled."""
_FUEL, _FUEL_PER_BYTE = 100_000, 40
"""Minijinja charges about one unit for each instruction and item, and for each few bytes of text."""


class TemplateRenderer:
    """Compiled templates by their source."""

    def __init__(self) -> None:
        self._environment = environment = Environment(
            undefined_behavior="strict", auto_escape_callback=lambda _name: False, pycompat=False
        )
        environment.remove_global("namespace")  # the only value that a template could change, or put into itself
        environment.remove_global("debug")
        self._names: dict[str, str] = {}

    def compile(self, template: str) -> str:
        """The name of a template. Raises BadTemplate."""
        name = self._names.get(template)
        if name is not None:
            return name
        if len(self._names) >= _KEPT:
            self._names.clear()
            self._environment.clear_templates()
        name = str(len(self._names))
        try:
            self._environment.add_template(name, template)
        except TemplateError as exc:
            raise BadTemplate(f"line {exc.line}: {exc.detail or exc.kind}") from None
        self._names[template] = name
        return name

    def render(self, template: str, described: Mapping[str, Any], body: bytes) -> bytes:
        """The payload. `described` is what delivery/payload.py tells of the message. `body` is there as `text` if it is
        UTF-8, and as `body` if it is JSON. Raises BadTemplate, and Unsendable with the reason."""
        name = self.compile(template)
        self._environment.fuel = _FUEL + _FUEL_PER_BYTE * len(body)
        try:
            variables = {key: _plain(value) for key, value in described.items()} | _variables(body)
            text = self._environment.render_template(name, **variables)
            payload = text.encode()
        except TemplateError as exc:
            where = f"line {exc.line}: " if exc.line else ""
            raise Unsendable(f"the template fails: {where}{_FAULTS.get(exc.kind) or exc.detail or exc.kind}") from None
        except RecursionError:
            raise Unsendable("the template fails: the message is nested too deeply") from None
        except MemoryError:
            raise Unsendable("the template fails: it needs too much memory") from None
        except (AttributeError, TypeError):
            raise Unsendable("the template fails: it calls a method, which JSON has not") from None
        if len(payload) > MAX_OUTPUT:
            raise Unsendable(f"the template makes {len(payload)} bytes; allowed are {MAX_OUTPUT}")
        return payload


_FAULTS = {"OutOfFuel": "it takes too many steps for a message of this size"}


def _variables(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        found["text"] = body.decode()
        found["body"] = _plain(orjson.loads(body))
    except ValueError:
        pass
    return found


def _plain(value: Any, depth: int = 0) -> Any:
    """The value with objects and arrays that have no methods."""
    if isinstance(value, dict | list) and depth >= MAX_BODY_DEPTH:
        raise Unsendable(f"the template fails: the message has more than {MAX_BODY_DEPTH} levels")
    if isinstance(value, dict):
        return _Object((name, _plain(item, depth + 1)) for name, item in value.items())
    if isinstance(value, list):
        return _Array(_plain(item, depth + 1) for item in value)
    return value


class _NoMethod:
    """Minijinja takes an attribute where it finds no member of that name."""

    def __get__(self, _instance: object, _owner: type | None = None) -> Any:
        raise AttributeError("JSON has no methods")


class _Items:
    """Minijinja takes what has `items` for an object, and looks it up as a member, too, when there is none: then it
    must not be there."""

    def __get__(self, instance: _Object | None, _owner: type | None = None) -> Any:
        if instance is not None and instance.missed:
            instance.missed = False
            raise AttributeError("items")
        return None  # which cannot be called


class _Object(dict[str, Any]):
    __slots__ = ("missed",)
    missed: bool

    def __init__(self, members: Any) -> None:
        super().__init__(members)
        self.missed = False

    def __missing__(self, name: object) -> Any:
        self.missed = name == "items"
        raise KeyError(name)


class _Array(list[Any]):
    __slots__ = ()


for _type, _base in ((_Object, dict), (_Array, list)):
    for _name in dir(_base):
        if not _name.startswith("_"):
            setattr(_type, _name, _Items() if _name == "items" else _NoMethod())
