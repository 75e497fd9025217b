"""Permissions that RabbitMQ finds missing, in a sentence (https://www.rabbitmq.com/docs/access-control)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ACCESS_REFUSED = "broker_access_refused"
"""The code of errors that only RabbitMQ's operator can clear: of the login, its tags and its permissions."""

_MISSING = re.compile(
    r"ACCESS_REFUSED - (?:(?P<right>configure|write|read) )?access to (?P<kind>queue|exchange) '(?P<name>.*?)"
    r"(?:' in vhost '.*?(?:' refused for user '(?P<user>.*?)(?:' by .*)?)?)?$",
    re.DOTALL,
)
"""AMQP cuts a reason at 255 bytes, so that its end may be missing."""

CONSUME: Mapping[str, str] = {"queue": "read"}
BIND: Mapping[str, str] = {"queue": "write", "exchange": "read"}
READ: Mapping[str, str] = {"queue": "read", "exchange": "configure and read"}
PUBLISH: Mapping[str, str] = {"exchange": "write"}
DECLARE: Mapping[str, str] = {}


def missing_permission(reason: str, needed: Mapping[str, str]) -> str | None:
    """Return which permission is missing on what, if that is the `reason` for which the broker closed a channel.

    RabbitMQ 4 names the permission. Earlier ones do not; then it is what the operation `needed` on that kind of
    resource, or all of them, as on what we declare for ourselves.
    """
    found = _MISSING.search(reason.removesuffix("'"))
    if found is None:
        return None
    right = found["right"] or needed.get(found["kind"], "configure, write and read")
    user = f" {found['user']!r}" if found["user"] else ""
    return f"RabbitMQ's user{user} lacks the permission {right} on the {found['kind']} {found['name']!r}"


def needed_by(method: str, path: tuple[str, ...], body: Any) -> str:
    """Return what a call of the management API takes, for RabbitMQ does not say; empty for one that takes none.
    `path` follows /api."""
    match method, *path:
        case ["DELETE", "queues", _, name, "contents"]:
            return f"read on the queue {name!r}"
        case ["PUT" | "DELETE", "queues" | "exchanges" as kinds, _, name]:
            return f"configure on the {kinds.removesuffix('s')} {name!r}{_leading_on(body)}"
        case ["POST" | "DELETE", "bindings", _, "e", source, kind, destination, *_]:
            onto = "queue" if kind == "q" else "exchange"
            return f"write on the {onto} {destination!r} and read on the exchange {source!r}"
    return ""


def _leading_on(body: Any) -> str:
    arguments = body.get("arguments", {}) if isinstance(body, dict) else {}
    onto = arguments.get("x-dead-letter-exchange", arguments.get("alternate-exchange"))
    return "" if onto is None else f", read on the same, and write on the exchange {onto or 'amq.default'!r}"
