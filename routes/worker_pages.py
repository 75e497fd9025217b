"""The pages of a worker process, which has no web server: /health/live, /health/ready and /metrics."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from email.message import Message
from http import HTTPStatus

from pydantic_core import to_json

from runtime.probe_server import Answer, Page
from services.worker_health import Progress


def worker_pages(
    progress: Callable[[], Progress],
    stalled_after: float,
    metrics: Callable[[], bytes],
    metrics_type: str,
    metrics_token: str,
) -> dict[str, Page]:
    """Return the pages by path. See Progress for `stalled_after` (seconds). There is no /metrics without a
    `metrics_token`, because it names queues and consumers."""

    def live(_: Message) -> Answer:
        return _state("alive", "not_live", progress().why_not_live(time.monotonic(), stalled_after))

    def ready(_: Message) -> Answer:
        return _state("ready", "not_ready", progress().why_not_ready())

    def counts(head: Message) -> Answer:
        if not hmac.compare_digest(head.get("Authorization", "").encode(), f"Bearer {metrics_token}".encode()):
            return _problem(HTTPStatus.UNAUTHORIZED, "unauthenticated", "Send METRICS_TOKEN as a bearer token.")
        return Answer(HTTPStatus.OK, metrics_type, metrics())

    pages: dict[str, Page] = {"/health/live": live, "/health/ready": ready}
    return {**pages, "/metrics": counts} if metrics_token else pages


def _state(good: str, code: str, reason: str | None) -> Answer:
    if reason:
        return _problem(HTTPStatus.SERVICE_UNAVAILABLE, code, reason)
    return Answer(HTTPStatus.OK, "application/json", to_json({"status": good}) + b"\n")


def _problem(status: HTTPStatus, code: str, detail: str) -> Answer:
    body = {"type": f"urn:workerrmq:error:{code}", "status": status, "code": code, "detail": detail}
    return Answer(status, "application/problem+json", to_json(body) + b"\n")
