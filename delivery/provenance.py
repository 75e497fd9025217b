"""When and by whom a message was published, from its properties. The publisher sets them, so they may be wrong;
implausible values are ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from delivery.copies import SCHEDULED_FOR
from delivery.header_values import field_value
from domain.message import PropertiesView
from domain.timestamps import from_text, plausible


class Provenance(NamedTuple):
    """`published_at` is the message's timestamp; of a scheduled message without one it is the time of its arrival.
    `published_by` is its application id, in which the API puts the name of the user or API key."""

    published_at: datetime | None
    published_by: str | None
    scheduled_for: datetime | None


def provenance(properties: PropertiesView, now: float) -> Provenance:
    """Return what the properties tell. `now` is in Unix seconds."""
    timestamp, publisher = properties.timestamp, properties.app_id
    published = timestamp.timestamp() if isinstance(timestamp, datetime) else timestamp
    return Provenance(
        _moment(published, now),
        field_value(publisher) if isinstance(publisher, bytes) else publisher or None,
        _moment(from_text((properties.headers or {}).get(SCHEDULED_FOR)), now),
    )


def _moment(seconds: float | None, now: float) -> datetime | None:
    known = isinstance(seconds, int | float) and plausible(seconds, now)
    return datetime.fromtimestamp(seconds, UTC) if known and seconds is not None else None
