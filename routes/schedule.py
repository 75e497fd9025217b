"""Scheduled messages: GET /getScheduled."""

from __future__ import annotations

from domain.schedule import ScheduledLevel
from routes.api import Api, Reply, services
from routes.inputs import PageQuery
from routes.paging import paged
from routes.scope import NO_QUEUE

api = Api("schedule")


class ScheduledQuery(PageQuery):
    """Which page."""


@api.get("/getScheduled", role="viewer", touches=NO_QUEUE, query=ScheduledQuery, answer=list[ScheduledLevel])
def get_scheduled(query: ScheduledQuery) -> Reply:
    """How many scheduled messages wait, by delay level, the lowest first: all of one level are due within its range.

    RabbitMQ tells no more, so a scheduled message cannot be looked for, changed or cancelled. Counts are the broker's
    statistics, up to five seconds old. While a message passes from one level to the next, both may count it.
    """
    return paged(services.schedule.page(query.page, query.page_size), query)
