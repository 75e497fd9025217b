"""A route of a consumer: a name, and the pattern of the messages that take it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field

from domain.filter_pattern import FilterPattern
from domain.model import Model

DEFAULT = "default"
"""The route of the messages that no other route matches. Its target is the consumer's own."""

MAX_ROUTES = 50
_NAME = re.compile(r"[A-Za-z0-9_-]{0,64}")
_TAKEN = (DEFAULT, "dlq")
"""Names that no route may have: `<queue>.dlq` is the queue's dead-letter queue (gateway/amqp/topology.py)."""


def _route_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must have at most 64 letters, digits, hyphens and underscores")
    if value.lower() in _TAKEN:
        raise ValueError(f"must not be {value!r}, which is the name of another queue of the consumer")
    return value


class RoutePattern(Model):
    """The name of a route, which is part of the names of its consumer and its queue, and the messages that take it."""

    name: Annotated[str, AfterValidator(_route_name)] = Field(
        "", json_schema_extra={"maxLength": 64}, description="unique in the consumer; defaults to the position, from 1"
    )
    when: FilterPattern = Field(
        description="the messages that take the route, unless an earlier route matches; as filter"
    )


Pattern = TypeVar("Pattern", bound=RoutePattern)


def named(routes: tuple[Pattern, ...]) -> tuple[Pattern, ...]:
    """Return the routes, each with a name. Raises ValueError if two have the same."""
    given = tuple(
        one if one.name else one.model_copy(update={"name": str(place)}) for place, one in enumerate(routes, 1)
    )
    if twice := [name for name, count in Counter(one.name for one in given).items() if count > 1]:
        raise ValueError(f"must have different names; {twice[0]!r} occurs twice")
    return given


def route_names(routes: Sequence[RoutePattern]) -> list[str]:
    """Return the names of the routes and of the default route; none without routes."""
    return [*(one.name for one in routes), DEFAULT] if routes else []


def below(name: str, route: str) -> str:
    """Return the name of a route's consumer or queue, by the name of the consumer or queue that has the routes."""
    return f"{name}.{route}"
