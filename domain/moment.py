"""A moment as clients write it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field

_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _written(value: Any) -> Any:
    """pydantic would take numbers, too, for seconds or milliseconds, whichever fits."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and not _DATE_AND_TIME.match(value)):
        raise ValueError("must be a date and a time with an offset, as in 2026-01-31T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written)]
"""With an offset (RFC 3339 §5.6)."""
