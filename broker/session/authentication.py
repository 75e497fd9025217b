"""SASL mechanisms (RabbitMQ docs: access-control § mechanisms): credentials from start-ok's response."""

from __future__ import annotations

from amqp_wire.table import decode_table
from amqp_wire.values import MalformedTable
from broker.errors import AmqpError

MECHANISMS = ("PLAIN", "AMQPLAIN")


def credentials(mechanism: str, response: bytes) -> tuple[str, str]:
    """Return user name and password. Raises AmqpError 503 for an unknown mechanism, 502 for a malformed response."""
    if mechanism not in MECHANISMS:
        raise AmqpError(503, f"unknown authentication mechanism '{mechanism}'")
    try:
        if mechanism == "PLAIN":
            _, name, password = response.split(b"\0")
            return name.decode(), password.decode()
        table, _ = decode_table(len(response).to_bytes(4, "big") + response)
        name, password = table["LOGIN"], table["PASSWORD"]
        if not isinstance(name, str) or not isinstance(password, str):
            raise KeyError("LOGIN")
    except (ValueError, KeyError, MalformedTable) as error:
        raise AmqpError(502, f"the {mechanism} response is malformed") from error
    return name, password
