"""Whether the service lives, and whether it can work: for load balancers and supervisors, so without a login."""

from __future__ import annotations

from typing import Any

from flask import Response

from domain.errors import WorkerError
from routes.answers import Alive, Ready
from routes.api import Api, Reply, services
from routes.errors import problem

api = Api("system")


class NotReady(WorkerError):
    """Something that the service needs is away; carries the state of all of it."""

    code = "not_ready"

    def __init__(self, detail: str, dependencies: dict[str, Any]) -> None:
        super().__init__(detail)
        self.dependencies = dependencies


@api.get("/health/live", public=True, answer=Alive)
def live() -> Reply:
    """Say that the process answers; nothing more is looked at."""
    return Reply({"status": "alive"})


@api.get("/health/ready", public=True, answer=Ready, refuses=(503,))
def ready() -> Reply:
    """Say whether each dependency answers, and after how many milliseconds. 503 when one is down."""
    found = services.health.dependencies()
    shown = {one.name: {"up": one.up, "milliseconds": one.milliseconds, "detail": one.detail} for one in found}
    if down := [one.name for one in found if not one.up]:
        raise NotReady(f"Not ready: {', '.join(down)} cannot be reached.", shown)
    return Reply({"status": "ready", "dependencies": shown})


@api.blueprint.errorhandler(NotReady)
def _not_ready(error: NotReady) -> Response:
    return problem(503, error.code, error.detail, dependencies=error.dependencies)
