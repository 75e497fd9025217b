"""Metrics for Prometheus: GET /metrics."""

from __future__ import annotations

from flask import Response

from routes.api import Api, services
from routes.scope import NO_QUEUE

api = Api("metrics")


@api.get("/metrics", role="monitor", touches=NO_QUEUE, media="text/plain", answer=str)
def metrics() -> Response:
    """Counts, times and gauges in Prometheus' text format: of this host's processes, and of queues and consumers.

    Answers within about a second, whatever is away. Log in with METRICS_TOKEN, or with an API key of the role monitor.
    """
    return Response(services.metrics.scrape(), content_type=services.metrics.content_type)
