"""Patterns that select messages: `{"body": {"total": {"$gte": 100}}, "routingKey": {"$startsWith": "order."}}`.

The operators are MongoDB's (https://www.mongodb.com/docs/manual/reference/operator/query/) with nested objects as
in EventBridge. delivery/filter.py applies them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

ROOTS = ("body", "headers", "properties", "routingKey")
"""The first step of every path."""

MAX_DEPTH = 16
"""Maximum nesting of objects and arrays."""
MAX_PARTS = 1000
"""Maximum number of fields, operators and values in a pattern."""
MAX_STEPS = 32
"""Maximum number of names in a path."""
MAX_TEXT = 1024
"""Maximum number of characters in a name or string."""


class All(NamedTuple):
    """Every part holds. Without parts, the condition always holds."""

    parts: tuple[Condition, ...]


class Some(NamedTuple):
    """At least one part holds."""

    parts: tuple[Condition, ...]


class Not(NamedTuple):
    part: Condition


class Test(NamedTuple):
    """`operator` holds for the value at `path`. The operand is valid for the operator."""

    path: tuple[str, ...]
    operator: str
    operand: Any


Condition = All | Some | Not | Test


class FilterPattern(dict[str, Any]):
    """A valid pattern, as the client wrote it, and its parsed `condition`. Raises ValueError with a predicate ("must
    have …") for an invalid pattern."""

    condition: Condition

    def __init__(self, pattern: Mapping[str, Any]) -> None:
        super().__init__(pattern)
        _check_size(pattern)
        if not pattern:
            raise ValueError("must have at least one of body, headers, properties and routingKey")
        self.condition = _object(pattern, ())

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        shape = core_schema.dict_schema(core_schema.str_schema())
        return core_schema.no_info_after_validator_function(cls, shape)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        roots, combinations = "|".join(ROOTS), "|".join(name.replace("$", r"\$") for name in _COMBINATIONS)
        names = rf"^(({roots})(\..+)?|{combinations})$"
        return {"type": "object", "minProperties": 1, "propertyNames": {"pattern": names}}


def _check_size(pattern: Mapping[str, Any]) -> None:
    """Raise ValueError for a pattern that is too deep or too large, without recursion."""
    level: list[Any] = [pattern]
    parts = 0
    for _ in range(MAX_DEPTH):
        level = [item for value in level for item in _inner(value)]
        parts += len(level)
        if parts > MAX_PARTS:
            raise ValueError(f"must have at most {MAX_PARTS} fields, operators and values")
        if not level:
            return
    raise ValueError(f"must have at most {MAX_DEPTH} levels of nested objects and arrays")


def _inner(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for name in value:
            _check_text(name)
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, str):
        _check_text(value)


def _check_text(text: str) -> None:
    if len(text) > MAX_TEXT:
        raise ValueError(f"must not contain a name or string of more than {MAX_TEXT} characters")


def _object(pattern: Mapping[str, Any], path: tuple[str, ...]) -> Condition:
    """Return the condition that all members of a pattern hold for the value at `path`."""
    parts = tuple(_member(name, value, path) for name, value in pattern.items())
    return parts[0] if len(parts) == 1 else All(parts)


def _member(name: str, value: Any, path: tuple[str, ...]) -> Condition:
    if name in _COMBINATIONS:
        return _COMBINATIONS[name](name, value, path)
    if name.startswith("$"):
        return _test(name, value, path)
    steps = tuple(name.split("."))
    if not all(steps):
        raise ValueError(f"has an invalid path {name!r}: write names separated by single dots")
    if len(path) + len(steps) > MAX_STEPS:
        raise ValueError(f"has a path of more than {MAX_STEPS} names")
    if not path and steps[0] not in ROOTS:
        raise ValueError(f"has an unknown field {steps[0]!r}. Allowed: {', '.join(ROOTS)}, $and, $or, $nor, $not")
    if isinstance(value, Mapping):
        if value and all(key.startswith("$") for key in value) != any(key.startswith("$") for key in value):
            raise ValueError(f"mixes operators and field names in {name!r}; combine them with $and")
        if not value:
            raise ValueError(f'has an empty object for {name!r}; write {{"$eq": {{}}}} or {{"$exists": true}}')
        return _object(value, path + steps)
    return _test("$eq", _unambiguous(name, value), path + steps)


def _unambiguous(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        raise ValueError(
            f'has an array for {name!r}; write {{"$in": […]}} to match one of its values, '
            'or {"$eq": […]} to match the array'
        )
    return value


_Member = Callable[[str, Any, tuple[str, ...]], Condition]
"""Returns the condition for the name and value of a member, and the path of its object."""


def _several(combine: Callable[[tuple[Condition, ...]], Condition]) -> _Member:
    def parse(name: str, value: Any, path: tuple[str, ...]) -> Condition:
        if (
            not isinstance(value, list | tuple)
            or not value
            or not all(isinstance(one, Mapping) and one for one in value)
        ):
            raise ValueError(f"needs a non-empty list of non-empty patterns for {name}")
        return combine(tuple(_object(one, path) for one in value))

    return parse


def _negated(name: str, value: Any, path: tuple[str, ...]) -> Condition:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"needs a non-empty pattern for {name}")
    return Not(_object(value, path))


_COMBINATIONS: dict[str, _Member] = {
    "$and": _several(All),
    "$or": _several(Some),
    "$nor": _several(lambda parts: Not(Some(parts))),
    "$not": _negated,
}


def _test(operator: str, operand: Any, path: tuple[str, ...]) -> Condition:
    if operator not in _OPERANDS:
        known = ", ".join([*_OPERANDS, *_COMBINATIONS])
        raise ValueError(f"has the unknown operator {operator}. Allowed: {known}")
    if not path:
        raise ValueError(
            f'has {operator} without a field; write it inside a field, for example {{"body": {{"total": …}}}}'
        )
    fits, needs = _OPERANDS[operator]
    if not fits(operand):
        raise ValueError(f"needs {needs} for {operator}")
    for number in _numbers(operand):
        if not math.isfinite(number) or (isinstance(number, int) and not -(2**63) <= number < 2**63):
            raise ValueError(f"has a number for {operator} that is not finite or needs more than 64 bits")
    return Test(path, operator, operand)


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield value


def _is_ordered(operand: Any) -> bool:
    return isinstance(operand, str | int | float) and not isinstance(operand, bool)


def _is_list(operand: Any) -> bool:
    return isinstance(operand, list | tuple)


_OPERANDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "$eq": (lambda _: True, ""),
    "$ne": (lambda _: True, ""),
    "$in": (_is_list, "an array"),
    "$nin": (_is_list, "an array"),
    **dict.fromkeys(("$gt", "$gte", "$lt", "$lte"), (_is_ordered, "a number or a string")),
    "$startsWith": (lambda operand: isinstance(operand, str), "a string"),
    "$exists": (lambda operand: isinstance(operand, bool), "true or false"),
}
"""By operator: the check of its operand, and the kind of operand that it needs."""
