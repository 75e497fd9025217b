"""The audit log: GET /getAuditLog. What is in it: audit.py."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from domain.audit import AuditEntry, AuditFilter
from domain.model import Model
from routes.api import Api, Reply, services
from routes.paging import LogQuery, paged
from routes.scope import NO_QUEUE

api = Api("audit")


class AuditQuery(LogQuery):
    """Which entries; all that is given must agree."""

    sort: Literal["at", "user", "action", "remote", "status"] = "at"
    user: str | None = Field(None, max_length=255)
    action: str | None = Field(None, max_length=100, description="the route's name, as in createQueue")
    resource: str | None = Field(None, max_length=1000, description="the name of a queue, user, consumer …")


class AuditDetails(Model):
    """Who (`user`) did what (`action`) to what (`resource`), from where (`remote`); `status` is that of the answer.
    `user` is null where a login failed."""

    at: datetime
    user: str | None
    action: str
    resource: dict[str, str]
    remote: str
    status: int
    request_id: str


@api.get("/getAuditLog", role="admin", touches=NO_QUEUE, query=AuditQuery, answer=list[AuditDetails])
def get_audit_log(query: AuditQuery) -> Reply:
    """What was changed in the last 90 days, or refused; publishes only when refused."""
    wanted = AuditFilter(query.user, query.action, query.resource, query.since, query.until)
    return paged(services.audit.page(wanted, query.order(), query.page, query.page_size), query, _shown)


def _shown(entry: AuditEntry) -> AuditDetails:
    return AuditDetails(**{name: getattr(entry, name) for name in AuditDetails.model_fields})
