"""The service's own events as messages: CloudEvents 1.0 in structured mode, so that the body is the whole event.

Sources: CloudEvents 1.0.2 "Context Attributes"; JSON Event Format §3; HTTP Protocol Binding §3.2 "Structured Content
Mode".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import orjson

from delivery.header_values import iso_time
from domain.condition import Event, Kind
from domain.message import Message, Properties
from domain.names import EVENTS

CONTENT_TYPE = "application/cloudevents+json"
_SOURCES: Mapping[Kind, str] = {
    "consumer.suspended": "/consumers/{name}",
    "breaker.opened": "/consumers/{name}",
    "deadletters.grew": "/queues/{name}",
    "retries.overdue": "/retries",
    "worker.none": "/workers",
}


def message(event: Event) -> Message:
    """Return the message to publish for an event. Its body has no credentials and no content of other messages."""
    body = {
        "specversion": "1.0",
        "id": event.id,
        "source": _SOURCES[event.kind].format(name=quote(event.name, safe="")),
        "type": event.type,
        "time": _iso(event.time),
        "datacontenttype": "application/json",
        "data": {
            "incident": event.incident,
            "status": "ended" if event.ended else "begun",
            "since": _iso(event.since),
            "name": event.name,
            "queueName": event.queue_name,
            "summary": event.summary,
        },
    }
    properties = Properties(content_type=CONTENT_TYPE, message_id=event.id, type=event.type, timestamp=int(event.time))
    return Message(event.type, orjson.dumps(body), EVENTS, properties)


def _iso(seconds: float) -> str:
    return iso_time(datetime.fromtimestamp(seconds, UTC))
