"""Entries of the audit log: the user, the change and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry. `action` is the route's name, `resource` has the names in the request (`queueName`, `username` …),
    `remote` is the client's address and `status` the HTTP status of the answer. `user` is None for a failed login,
    because the user is not authenticated."""

    entry_id: str
    at: datetime
    user: str | None
    action: str
    resource: Mapping[str, str]
    remote: str
    status: int
    request_id: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Selects entries that match every field that is not None: at or after `since`, before `until`. `resource` matches
    any of the names in an entry's `resource`."""

    user: str | None = None
    action: str | None = None
    resource: str | None = None
    since: datetime | None = None
    until: datetime | None = None
