"""Translates RabbitMQ's refusals, a status and a reason, to domain errors that a client can act on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, cast

from domain.errors import (
    BrokerUnavailable,
    Conflict,
    Invalid,
    Locked,
    NotFound,
    PreconditionFailed,
    QueueUnavailable,
    WorkerError,
)
from gateway.management.arguments import explained, field_of, in_one_line
from gateway.permissions import ACCESS_REFUSED, missing_permission

Subject = Literal["virtual host", "queue", "exchange", "binding", "connection", "policy"]

PAGE_OUT_OF_RANGE = "page_out_of_range"
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<name>[^']+)' for .*: received (?P<wanted>.+) but current is (?P<current>.+)$", re.DOTALL
)
_ABSENT = re.compile(r"no (?P<subject>queue|exchange) '(?P<name>.*)' in vhost '", re.DOTALL)
"""Also the reason for a binding, of which either end may be missing."""
_DOWN = re.compile(r"home node '[^']*' of durable queue '(?P<name>.*)' in vhost '.*' is down", re.DOTALL)
_NO_RIGHT = ("Access refused.", "User not authorised to access object")
_TAG = re.compile(r"Not (\w+) user")
_VALUE = re.compile(r"^(?:the value )?'(?P<value>.*?)'(?: of type '\w+')?$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status of 400 or above, with RabbitMQ's short `error` and longer `reason`."""

    status: int
    error: str
    reason: str

    @classmethod
    def read(cls, status: int, content: Any) -> Refusal:
        """Return the refusal for RabbitMQ's status and body; the body may be anything."""
        said = content if isinstance(content, dict) else {}
        error = str(said.get("error") or f"HTTP {status}")
        return cls(status, error, str(said.get("reason") or error))


def error_for(refusal: Refusal, subject: Subject, name: str, user: str, needed: str) -> WorkerError:
    """Return the error to raise for a refused operation on the `subject` called `name`. `needed` are the permissions
    that RabbitMQ's `user` needs for the operation."""
    if refusal.status in (401, 403):
        return BrokerUnavailable(_no_access(refusal, user, needed), code=ACCESS_REFUSED)
    if absent := _ABSENT.search(refusal.reason):
        subject, name = cast(Subject, absent["subject"]), absent["name"]
    if refusal.status == 404:
        return _not_found(refusal.reason, subject, name)
    if refusal.status >= 500:
        return BrokerUnavailable(f"RabbitMQ failed to answer (HTTP {refusal.status}); try again.", retry_after=5)
    if refusal.error == PAGE_OUT_OF_RANGE:
        return Invalid("The page does not exist.", code=PAGE_OUT_OF_RANGE)
    return _bad_request(refusal.reason, subject, name)


def _no_access(refusal: Refusal, user: str, needed: str) -> str:
    """Return a sentence about missing access. RabbitMQ spells "authorized" with a z for a failed login, else with an
    s."""
    if refusal.error == "not_authorized":
        return (
            f"RabbitMQ's management API refuses the login of {user!r}: wrong user or password in "
            "RABBITMQ_MANAGEMENT_URL or, if that has none, in RABBITMQ_URL."
        )
    if lacks_tag := _TAG.fullmatch(refusal.reason):
        tag = {"monitor": "monitoring"}.get(lacks_tag[1], lacks_tag[1])
        return f"RabbitMQ's user {user!r} lacks the tag {tag!r}. Set it: rabbitmqctl set_user_tags {user} {tag}"
    if refusal.reason == "User not authorised to access virtual host":
        return f"RabbitMQ's user {user!r} has no permissions in the virtual host of RABBITMQ_URL."
    if refusal.reason in _NO_RIGHT and needed:
        return f"RabbitMQ's user {user!r} lacks a permission. The operation needs {needed}."
    return missing_permission(refusal.reason) or f"RabbitMQ refuses this to its user {user!r}: {refusal.reason}"


def _not_found(reason: str, subject: Subject, name: str) -> WorkerError:
    if subject == "virtual host":
        return BrokerUnavailable(
            f"RabbitMQ has no virtual host {name!r}, which the path of RABBITMQ_URL names. If the name is correct, "
            "RabbitMQ is stopping or starting: try again.",
            code="virtual_host_not_found",
        )
    if down := _DOWN.search(reason):
        return QueueUnavailable(
            f"The queue {down['name']!r} exists, but the node that holds it is down.", retry_after=5
        )
    return NotFound(f"There is no {subject} called {name!r}.", code=f"{subject}_not_found")


def _bad_request(reason: str, subject: Subject, name: str) -> WorkerError:
    if differs := _INEQUIVALENT.search(reason):
        field, wanted = field_of(differs["name"]), _value(differs["wanted"])
        current = _value(differs["current"]) if differs["current"] != "none" else "unset"
        return Conflict(
            f"The {subject} {name!r} already exists with {field} {current}; you asked for {wanted}. "
            f"Use the existing value, or delete the {subject} first.",
            code=f"{subject}_exists_otherwise",
            fields=[(field, f"is {current}; you asked for {wanted}")],
        )
    if "cannot obtain exclusive access" in reason or "RESOURCE_LOCKED" in reason:
        return Locked(
            f"The {subject} {name!r} is exclusive to another connection: only that connection may use it, and RabbitMQ "
            f"deletes the {subject} when it closes."
        )
    if reason.endswith("not empty"):
        return PreconditionFailed(
            f"The {subject} {name!r} is not empty. Purge it first, or leave out ifEmpty.", code=f"{subject}_not_empty"
        )
    if reason.endswith("in use"):
        return PreconditionFailed(
            f"The {subject} {name!r} is in use. Remove its consumers or bindings first, or leave out ifUnused.",
            code=f"{subject}_in_use",
        )
    if fault := explained(reason):
        return Invalid(f"{fault[0]}: {fault[1]}", code="refused_by_broker", fields=[fault])
    return Invalid(f"RabbitMQ refuses this: {in_one_line(reason)}.", code="refused_by_broker")


def _value(described: str) -> str:
    """Return the value in RabbitMQ's description: `the value '1000' of type 'long'`, `'true'` or `none`."""
    found = _VALUE.match(described.strip())
    return found["value"] if found else described.strip()
