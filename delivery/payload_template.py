"""Renders the payload of a message from a template. Runs in a separate process (gateway/rendering), because a template
can make minijinja overflow the stack or run forever.

A template sees plain JSON: values have no methods, and no function changes a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from minijinja import Environment, TemplateError

from delivery.content_encoding import undecoded
from delivery.unsendable import BadTemplate, Unsendable

MAX_OUTPUT = 16 * 2**20
"""Maximum bytes of a rendered payload."""
MAX_BODY_DEPTH = 100
"""Maximum nesting of objects and arrays in a value that a template uses."""
_KEPT = 500
"""Maximum number of compiled templates in the cache."""
_FUEL, _FUEL_PER_BYTE = 100_000, 40
"""The fuel for one rendering, and for each byte of the body. Minijinja consumes about one unit for each instruction and
item, and for each few bytes of text."""


class TemplateRenderer:
    """Compiles and renders templates. It caches compiled templates by their source."""

    def __init__(self) -> None:
        self._environment = environment = Environment(
            undefined_behavior="strict", auto_escape_callback=lambda _name: False, pycompat=False
        )
        environment.remove_global("namespace")  # the only value that a template could change, or nest in itself
        environment.remove_global("debug")
        self._names: dict[str, str] = {}

    def compile(self, template: str) -> str:
        """Compile a template and return its name in the environment. Raises BadTemplate for a syntax error."""
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
        """Return the payload. `described` is the description of the message by delivery/payload.py. The template sees
        the body as `text` if it is UTF-8, and as `body` if it is JSON. Raises BadTemplate, and Unsendable with the
        reason."""
        name = self.compile(template)
        self._environment.fuel = _FUEL + _FUEL_PER_BYTE * len(body)
        try:
            variables = {key: _plain(value) for key, value in described.items()} | _variables(body)
            text = self._environment.render_template(name, **variables)
            payload = text.encode()
        except TemplateError as exc:
            where = f"line {exc.line}: " if exc.line else ""
            why = _FAULTS.get(exc.kind) or exc.detail or exc.kind
            if "body" not in variables:
                why += undecoded(described.get("properties", {}).get("contentEncoding"))
            raise Unsendable(f"the template fails: {where}{why}") from None
        except RecursionError:
            raise Unsendable("the template fails: the message is nested too deeply") from None
        except (AttributeError, TypeError):
            raise Unsendable("the template fails: it calls a method; JSON values have no methods") from None
        if len(payload) > MAX_OUTPUT:
            raise Unsendable(f"the template's output has {len(payload)} bytes; the limit is {MAX_OUTPUT}")
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
    """Return a copy whose objects and arrays have no methods. Raises Unsendable beyond MAX_BODY_DEPTH."""
    if isinstance(value, dict | list) and depth >= MAX_BODY_DEPTH:
        raise Unsendable(f"the template fails: the message has more than {MAX_BODY_DEPTH} levels")
    if isinstance(value, dict):
        return _Object((name, _plain(item, depth + 1)) for name, item in value.items())
    if isinstance(value, list):
        return _Array(_plain(item, depth + 1) for item in value)
    return value


class _NoMethod:
    """Hides a method of dict or list: minijinja looks up an attribute if an object has no member of that name."""

    def __get__(self, _instance: object, _owner: type | None = None) -> Any:
        raise AttributeError("JSON has no methods")


class _Items:
    """The attribute `items` of an object. Minijinja recognizes an object by this attribute, so it must exist. Minijinja
    also looks it up if the object has no member `items`; then it must not exist."""

    def __get__(self, instance: _Object | None, _owner: type | None = None) -> Any:
        if instance is not None and instance.missed:
            instance.missed = False
            raise AttributeError("items")
        return None  # not callable


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
