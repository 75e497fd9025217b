"""Whether the service lives, and whether it can work: for load balancers and supervisors, so without a login."""

from __future__ import annotations

from typing import Any

from flask import Response

from domain.errors import WorkerError
from routes.answers import Alive, DependencyState, Ready, WorkersState
from routes.api import Api, Reply, services
from routes.errors import problem
from services.health import Findings

api = Api("system")


class NotReady(WorkerError):
    """Something that the service needs is away; carries the state of all of it."""

    code = "not_ready"

    def __init__(self, detail: str, members: dict[str, Any]) -> None:
        super().__init__(detail)
        self.members = members


@api.get("/health/live", public=True, answer=Alive)
def live() -> Reply:
    """Say that the process answers; nothing more is looked at."""
    return Reply({"status": "alive"})


@api.get("/health/ready", public=True, answer=Ready, refuses=(503,))
def ready() -> Reply:
    """Say whether each dependency answers, and after how many milliseconds; and how many workers live.

    503 when a dependency is down. That no worker lives is said, but no reason for 503: the API works without one.
    """
    found = services.health.look()
    members = {"dependencies": _dependencies(found), "workers": _workers(found)}
    if down := [one.name for one in found.dependencies if not one.up]:
        raise NotReady(f"Not ready. Down: {', '.join(down)}.", members)
    return Reply({"status": "ready", **members})


def _dependencies(found: Findings) -> dict[str, DependencyState]:
    return {
        one.name: DependencyState(up=one.up, milliseconds=one.milliseconds, detail=one.detail)
        for one in found.dependencies
    }


def _workers(found: Findings) -> WorkersState | None:
    if (workers := found.workers) is None:
        return None
    return WorkersState(
        live=workers.live,
        enabled_consumers=workers.enabled_consumers,
        latest_heartbeat_seconds=workers.latest_heartbeat,
        oldest_heartbeat_seconds=workers.oldest_heartbeat,
        detail=workers.detail,
    )


@api.blueprint.errorhandler(NotReady)
def _not_ready(error: NotReady) -> Response:
    return problem(503, error.code, error.detail, **error.members)
