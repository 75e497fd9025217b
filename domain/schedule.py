"""One scheduled message, as the service has published it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A message that the broker has confirmed in its delay level. `queue` is where it goes when it is due, or the
    routing key if it goes to an exchange; `by` is its application id."""

    key: str
    message_id: str
    exchange: str
    queue: str
    at: datetime
    due: datetime
    by: str | None
