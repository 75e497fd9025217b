"""What is going on now: GET /getOverview."""

from __future__ import annotations

from domain.overview import Overview
from routes.api import Api, Reply, services
from routes.scope import NO_QUEUE

api = Api("overview")


@api.get("/getOverview", role="viewer", touches=NO_QUEUE, answer=Overview)
def get_overview() -> Reply:
    """What is wrong now, the worst first, and how much is going on. At most two seconds old; the broker's counts are
    its statistics, up to five seconds old."""
    return Reply(services.overviews.now())
