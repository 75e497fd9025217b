"""The audit log: GET /getAuditLog. audit.py writes it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from domain.audit import AuditFilter
from domain.configuration import Change
from domain.model import Model
from middlewares.auth import services
from routes.api import Api, Reply
from routes.paging import LogQuery, paged

api = Api("audit")


class AuditQuery(LogQuery):
    """Filters of the audit log; an entry must match all of them."""

    sort: Literal["at", "user", "action", "remote", "status"] = "at"
    user: str | None = Field(None, max_length=255)
    action: str | None = Field(None, max_length=100, description="name of the operation, such as createQueue")
    resource: str | None = Field(None, max_length=1000, description="name of a queue, user, consumer, …")


class AuditDetails(Model):
    """An entry: `user` called the operation `action` on `resource` from the address `remote`, and the answer had
    `status`. `user` is null for a failed login. `changes` are the fields whose values it has changed: from null
    if it has created the object, to null if it has deleted the object. Secrets are masked, and long values are cut off.
    Numbers of messages are RabbitMQ's statistics, up to five seconds old. A replay, move or deletion of dead letters
    has a second entry when it has ended."""

    at: datetime
    user: str | None
    action: str
    resource: dict[str, str]
    remote: str
    status: int
    request_id: str
    changes: tuple[Change, ...]


@api.get("/getAuditLog", role="admin")
def get_audit_log(query: AuditQuery) -> Reply[list[AuditDetails]]:
    """List the changes of the last 90 days, including refused ones. Publishes are listed only if they were refused."""
    wanted = AuditFilter(query.user, query.action, query.resource, query.since, query.until)
    return paged(services.audit.page(wanted, query.order(), query.page, query.page_size), query, AuditDetails.showing)
