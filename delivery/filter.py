"""Compiles a filter pattern (domain/filter_pattern.py) to a function that selects the messages for a target.

As in MongoDB, a path descends into the objects of an array, and an array satisfies a test as a whole or by one of its
elements. `$ne` and `$nin` negate `$eq` and `$in`. Values of different JSON types are never equal and have no order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from delivery.copies import Source, original
from delivery.header_values import json_value
from delivery.payload import named_properties
from delivery.unsendable import Unsendable
from domain.filter_pattern import All, Condition, FilterPattern, Not, Some, Test

MOST_ELEMENTS = 1_000_000
"""Maximum number of array elements that a filter examines in one message."""

Predicate = Callable[[Source], bool]
_Fits = Callable[[Any], bool]


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()
"""The value of `body` if the body is not JSON. No path yields it."""


def predicate(pattern: FilterPattern) -> Predicate:
    """Return a function that checks whether a message, as it was published, matches the pattern. A message whose body
    is not JSON has no `body`. The function raises Unsendable for a message that is too large or too deep to check."""
    first = first_match([pattern])
    return lambda source: first(source) is not None


def first_match(patterns: Iterable[FilterPattern]) -> Callable[[Source], int | None]:
    """Return a function that finds the first pattern that a message matches, and returns its position from 0; None
    without a match. It raises what `predicate`'s raises."""
    checks = [_compiled(pattern.condition) for pattern in patterns]

    def first(source: Source) -> int | None:
        message = _Message(source)
        try:
            return next((place for place, check in enumerate(checks) if check(message)), None)
        except RecursionError:
            raise Unsendable("the filter cannot be applied: the message is nested too deeply") from None

    return first


class _Message:
    """One message. Each part is computed when a pattern first uses it."""

    __slots__ = ("_left", "_roots", "_source")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._roots: dict[str, Any] = {}
        self._left = MOST_ELEMENTS

    def found(self, path: tuple[str, ...]) -> Iterator[Any]:
        """Yield all values at a path."""
        root = path[0]
        if root not in self._roots:
            self._roots[root] = _ROOTS[root](self._source)
        return self._walk(self._roots[root], path, 1)

    def has(self, path: tuple[str, ...]) -> bool:
        return any(True for _ in self.found(path))

    def elements(self, value: list[Any]) -> list[Any]:
        """Count the elements of a list and return it. Raises Unsendable when the message has more than
        MOST_ELEMENTS."""
        self._left -= len(value)
        if self._left < 0:
            raise Unsendable(f"the filter cannot be applied: it would examine more than {MOST_ELEMENTS} array elements")
        return value

    def _walk(self, value: Any, path: tuple[str, ...], at: int) -> Iterator[Any]:
        """Yield the values below `value` along the steps from `at` on. A key that contains dots takes precedence over
        the steps that the dots separate. A number is also the index of an array."""
        if at == len(path):
            if value is not MISSING:
                yield value
        elif isinstance(value, dict):
            if at + 1 < len(path) and (whole := ".".join(path[at:])) in value:
                yield value[whole]
            elif path[at] in value:
                yield from self._walk(value[path[at]], path, at + 1)
        elif isinstance(value, list):
            step = path[at]
            if step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(value):
                yield from self._walk(value[int(step)], path, at + 1)
            for item in self.elements(value):
                if isinstance(item, dict):
                    yield from self._walk(item, path, at)


_Check = Callable[[_Message], bool]


def _body(source: Source) -> Any:
    try:
        return orjson.loads(source.body)
    except ValueError:
        return MISSING


def _routing_key(source: Source) -> Any:
    return json_value(original(source.exchange, source.routing_key, source.properties)[1])


def _headers(source: Source) -> Any:
    return json_value(original(source.exchange, source.routing_key, source.properties)[2].headers or {})


def _properties(source: Source) -> Any:
    return named_properties(original(source.exchange, source.routing_key, source.properties)[2])


_ROOTS: dict[str, Callable[[Source], Any]] = {
    "body": _body,
    "headers": _headers,
    "properties": _properties,
    "routingKey": _routing_key,
}


def _compiled(condition: Condition) -> _Check:
    match condition:
        case All(parts):
            checks = tuple(map(_compiled, parts))
            return lambda message: all(check(message) for check in checks)
        case Some(parts):
            checks = tuple(map(_compiled, parts))
            return lambda message: any(check(message) for check in checks)
        case Not(part):
            inner = _compiled(part)
            return lambda message: not inner(message)
        case Test(path, operator, operand):
            return _TESTS[operator](path, operand)


def _any(fits: Callable[[Any], _Fits]) -> Callable[[tuple[str, ...], Any], _Check]:
    """Return a test that a value passes as a whole or, if it is an array, by one of its elements."""

    def test(path: tuple[str, ...], operand: Any) -> _Check:
        fit = fits(operand)
        return lambda message: any(
            fit(value) or (isinstance(value, list) and any(map(fit, message.elements(value))))
            for value in message.found(path)
        )

    return test


def _none(test: Callable[[tuple[str, ...], Any], _Check]) -> Callable[[tuple[str, ...], Any], _Check]:
    def opposite(path: tuple[str, ...], operand: Any) -> _Check:
        check = test(path, operand)
        return lambda message: not check(message)

    return opposite


def _exists(path: tuple[str, ...], operand: bool) -> _Check:
    return lambda message: message.has(path) is operand


def _in(path: tuple[str, ...], operand: Any) -> _Check:
    """Check membership in a list. If the list contains null, a missing path matches too, as in MongoDB."""
    single = frozenset(map(_key, (item for item in operand if not isinstance(item, Mapping | list | tuple))))
    others = [item for item in operand if isinstance(item, Mapping | list | tuple)]

    def fit(value: Any) -> bool:
        if isinstance(value, dict | list):
            return any(equal(value, other) for other in others)
        return _key(value) in single

    check = _any(lambda _: fit)(path, operand)
    if None not in operand:
        return check
    return lambda message: check(message) or not message.has(path)


def _eq(path: tuple[str, ...], operand: Any) -> _Check:
    return _in(path, [operand])


def _key(value: Any) -> tuple[str, Any]:
    """Return a scalar with its JSON type, because Python treats True and 1 as equal."""
    return _kind(value), value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def equal(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal. The order of an object's members does not matter; true is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return _kind(one) == _kind(other) and bool(one == other)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any], _Fits]:
    def fits(operand: Any) -> _Fits:
        kind = _kind(operand)
        return lambda value: _kind(value) == kind and compare(value, operand)

    return fits


def _starts_with(operand: str) -> _Fits:
    return lambda value: isinstance(value, str) and value.startswith(operand)


_TESTS: dict[str, Callable[[tuple[str, ...], Any], _Check]] = {
    "$eq": _eq,
    "$ne": _none(_eq),
    "$in": _in,
    "$nin": _none(_in),
    "$gt": _any(_ordered(lambda value, operand: value > operand)),
    "$gte": _any(_ordered(lambda value, operand: value >= operand)),
    "$lt": _any(_ordered(lambda value, operand: value < operand)),
    "$lte": _any(_ordered(lambda value, operand: value <= operand)),
    "$startsWith": _any(_starts_with),
    "$exists": _exists,
}
