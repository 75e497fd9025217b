"""Who changed what, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`action` is the route's name, `resource` what the request named (`queueName`, `username` …), `remote` the
    client's address, `status` that of the answer. `user` is None for a login that failed: who it was is not known."""

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
    """Entries that agree with all that is not None, from `since` on and before `until`; `resource` is any name."""

    user: str | None = None
    action: str | None = None
    resource: str | None = None
    since: datetime | None = None
    until: datetime | None = None
