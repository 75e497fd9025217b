"""Health checks for load balancers and supervisors, without a login."""

from __future__ import annotations

from typing import Any

from flask import Response

from domain.errors import WorkerError
from middlewares.auth import services
from routes.answers import Alive, Ready
from routes.api import Api, Reply
from routes.errors import problem

api = Api("system")


class NotReady(WorkerError):
    """A dependency is down. `members` has the state of all dependencies."""

    code = "not_ready"

    def __init__(self, detail: str, members: dict[str, Any]) -> None:
        super().__init__(detail)
        self.members = members


@api.get("/health/live", public=True)
def live() -> Reply[Alive]:
    """Check that the process answers. Dependencies are not checked."""
    return Reply(Alive(status="alive"))


@api.get("/health/ready", public=True, refuses=("503 not_ready",))
def ready() -> Reply[Ready]:
    """Check all dependencies and count the live workers.

    The answer is 503 when a dependency is down. It is 200 when no worker is alive, because the API works without
    workers."""
    found = services.health.look()
    if down := [name for name, one in found.dependencies.items() if not one.up]:
        raise NotReady(f"Not ready. Down: {', '.join(down)}.", found._asdict())
    return Reply(Ready(status="ready", **found._asdict()))


@api.blueprint.errorhandler(NotReady)
def _not_ready(error: NotReady) -> Response:
    return problem(503, error.code, error.detail, **error.members)
