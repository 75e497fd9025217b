"""A moment as clients write it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

AS_IN = "must be a date and a time with an offset, as in 2026-01-31T12:00:00Z (in a query, + is written %2B)"

_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written(value: Any) -> Any:
    """pydantic would take numbers, too, for seconds or milliseconds, whichever fits."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and not _DATE_AND_TIME.match(value)):
        raise ValueError(AS_IN)
    return value


def _in_utc(value: datetime) -> datetime:
    """Kept and compared it is in UTC, where the last hours of the year 9999 may be those of a year that is no year."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be between the years 1 and 9999 in UTC") from None


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written), AfterValidator(_in_utc)]
"""With an offset (RFC 3339 §5.6); in UTC."""
