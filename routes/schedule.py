"""Scheduled messages: GET /getScheduled."""

from __future__ import annotations

from domain.details import ScheduledLevel
from middlewares.auth import services
from routes.api import Api, Reply
from routes.inputs import PageQuery
from routes.paging import paged
from routes.refusals import BROKER

api = Api("schedule")


@api.get("/getScheduled", role="viewer", refuses=BROKER)
def get_scheduled(query: PageQuery) -> Reply[list[ScheduledLevel]]:
    """Count scheduled messages per delay level, the lowest first, with the time range in which they are due.

    RabbitMQ reports no more than that, so you cannot change or cancel a scheduled message. `GET /getMessage` finds one
    by its id. Counts are the broker's statistics, up to five seconds old. While a message moves to the next level, both
    levels may count it."""
    return paged(services.queues.scheduled(query.page, query.page_size), query)
