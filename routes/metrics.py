"""Metrics for Prometheus: GET /metrics."""

from __future__ import annotations

from flask import Response

from middlewares.auth import services
from routes.api import Api

api = Api("metrics")


@api.get("/metrics", role="monitor", media="text/plain", answer=str)
def metrics() -> Response:
    """Get metrics of this host's processes and of all queues and consumers, in Prometheus' text format.

    The answer takes about one second at most, even while dependencies are down. Authenticate with METRICS_TOKEN, or
    with an API key of the role monitor."""
    return Response(services.metrics.scrape(), content_type=services.metrics.content_type)
