"""Entries of the audit log: the user, the change and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic.alias_generators import to_camel
from pydantic_core import to_jsonable_python

from domain.configuration import Change


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry. `action` is the route's name, `resource` has the names in the request (`queueName`, `username` …),
    `remote` is the client's address and `status` the HTTP status of the answer. `user` is None for a failed login,
    because the user is not authenticated. `changes` are the fields that the change has given other values, secrets
    masked."""

    entry_id: str
    at: datetime
    user: str | None
    action: str
    resource: Mapping[str, str]
    remote: str
    status: int
    request_id: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Selects entries that match every field that is not None: at or after `since`, before `until`. `resource` matches
    any of the names in an entry's `resource`."""

    user: str | None = None
    action: str | None = None
    resource: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The fields of an object without those that have their defaults: `values` to compare, `shown` with masked
    secrets. `whole` also has the fields with their defaults, if they are known."""

    values: Mapping[str, Any]
    shown: Mapping[str, Any]
    whole: Mapping[str, Any] = field(default_factory=dict)


def state_of(one: object, fields: str) -> State:
    """Return these fields of an object without secrets, except those that are empty, false or zero."""
    values = {to_camel(name): getattr(one, name) for name in fields.split()}
    shown = {name: value for name, value in to_jsonable_python(values).items() if value}
    return State(shown, shown)


_NOTHING = State({}, {})


def changes(before: State | None, after: State | None) -> list[Change]:
    """Return the fields that differ. None stands for an object that does not exist."""
    old, new = before or _NOTHING, after or _NOTHING
    was, now = (old.whole, new.whole) if old.whole and new.whole else (old.shown, new.shown)
    return [
        Change(field=name, from_=was.get(name), to=now.get(name))
        for name in dict.fromkeys([*old.values, *new.values])
        if old.values.get(name) != new.values.get(name)
    ]
