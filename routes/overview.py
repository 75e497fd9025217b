"""The overview: GET /getOverview."""

from __future__ import annotations

from domain.overview import Overview
from routes.api import Api, Reply, services
from routes.scope import NO_QUEUE

api = Api("overview")


@api.get("/getOverview", role="viewer", touches=NO_QUEUE, answer=Overview)
def get_overview() -> Reply:
    """Get the current troubles, the worst first, and totals of queues, messages and rates.

    The answer is at most two seconds old. Counts of messages are RabbitMQ's statistics, which are up to five seconds
    old."""
    return Reply(services.overviews.now())
