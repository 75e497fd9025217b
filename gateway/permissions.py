"""Sentences about missing permissions in RabbitMQ (https://www.rabbitmq.com/docs/access-control)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ACCESS_REFUSED = "broker_access_refused"
"""Code of errors that only RabbitMQ's operator can fix: about the login, its tags and its permissions."""

_MISSING = re.compile(
    r"ACCESS_REFUSED - (?:(?P<right>configure|write|read) )?access to (?P<kind>queue|exchange) '(?P<name>.*?)"
    r"(?:' in vhost '.*?(?:' refused for user '(?P<user>.*?)(?:' by .*)?)?)?$",
    re.DOTALL,
)
"""The end of a reason may be missing, because AMQP limits it to 255 bytes."""

CONSUME: Mapping[str, str] = {"queue": "read"}
BIND: Mapping[str, str] = {"queue": "write", "exchange": "read"}
READ: Mapping[str, str] = {"queue": "read", "exchange": "configure and read"}
PUBLISH: Mapping[str, str] = {"exchange": "write"}
DECLARE: Mapping[str, str] = {}


def missing_permission(reason: str, needed: Mapping[str, str] = DECLARE) -> str | None:
    """Return a sentence that names the missing permission and its resource, if the broker closed a channel for that
    `reason`; else None.

    RabbitMQ 4 names the permission. For earlier versions the sentence names what the operation `needed` on that kind of
    resource, or all permissions if that is not given, as for our own exchanges and queues.
    """
    found = _MISSING.search(reason.removesuffix("'"))
    if found is None:
        return None
    right = found["right"] or needed.get(found["kind"], "configure, write and read")
    user = f" {found['user']!r}" if found["user"] else ""
    return f"RabbitMQ's user{user} lacks the permission {right} on the {found['kind']} {found['name']!r}"


def needed_by(method: str, path: tuple[str, ...], body: Any) -> str:
    """Return the permissions that a call of the management API needs, because RabbitMQ's refusal does not name them;
    empty if it needs none. `path` follows /api."""
    match method, *path:
        case ["DELETE", "queues", _, name, "contents"]:
            return f"read on the queue {name!r}"
        case ["PUT" | "DELETE", "queues" | "exchanges" as kinds, _, name]:
            return f"configure on the {kinds.removesuffix('s')} {name!r}{_leading_on(body)}"
        case ["POST" | "DELETE", "bindings", _, "e", source, kind, destination, *_]:
            onto = "queue" if kind == "q" else "exchange"
            return f"write on the {onto} {destination!r} and read on the exchange {source!r}"
        case [_, "policies", *_]:
            return "the tag policymaker"
    return ""


def _leading_on(body: Any) -> str:
    arguments = body.get("arguments", {}) if isinstance(body, dict) else {}
    onto = arguments.get("x-dead-letter-exchange", arguments.get("alternate-exchange"))
    return "" if onto is None else f", read on the same, and write on the exchange {onto or 'amq.default'!r}"
