"""Date and time as clients write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

AS_IN = "must be a date and a time with an offset, as in 2026-01-31T12:00:00Z"

_PLUS_LOST = re.compile(r":\d\d(\.\d+)? \d\d:?\d\d$")
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written(value: Any) -> Any:
    """Return the value. Raises ValueError for numbers, which pydantic guesses to be seconds or milliseconds."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and not _DATE_AND_TIME.match(value)):
        raise ValueError(AS_IN)
    if isinstance(value, str) and _PLUS_LOST.search(value):  # a query has a space for an unescaped +
        raise ValueError(f"{AS_IN}; in a query, + is written %2B")
    return value


def _in_utc(value: datetime) -> datetime:
    """Return the time in UTC. Raises ValueError if its year there is not between 1 and 9999."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be between the years 1 and 9999 in UTC") from None


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written), AfterValidator(_in_utc)]
"""A date and time with an offset (RFC 3339 §5.6), converted to UTC."""
