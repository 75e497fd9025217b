"""The history of a queue, of all queues, or of a consumer: GET /getHistory."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from domain.consumer_changes import WhichConsumer
from domain.errors import NotFound
from domain.history import ALL_QUEUES, HistoryDetails, Key, PeriodName
from domain.model import Model
from domain.names import QueueName
from middlewares.auth import services
from routes.api import Api, Reply
from routes.refusals import CONSUMER
from routes.scope import Touches

api = Api("history")


class HistoryQuery(Model):
    """Identifies a queue or a consumer (neither: all queues), and the period."""

    queue_name: QueueName | None = Field(None, examples=["orders"])
    consumer: str | None = Field(None, min_length=1, max_length=255, description="the consumer's name")
    period: PeriodName = "hour"

    @model_validator(mode="after")
    def _one_at_most(self) -> Self:
        if self.queue_name is not None and self.consumer is not None:
            raise ValueError("use either queueName or consumer, or neither for all queues")
        return self

    def queue(self) -> str | None:
        """Return the queue, or that of the consumer; None for all queues. Raises NotFound."""
        if self.consumer is None:
            return self.queue_name
        return services.consumers.find_one(WhichConsumer(name=self.consumer)).spec.queue_name


def _queue_of(query: HistoryQuery) -> list[str | None]:
    try:
        return [query.queue()]
    except NotFound:  # the answer is the same as for a consumer of a forbidden queue
        return [None]


@api.get("/getHistory", role="viewer", touches=Touches(_queue_of), refuses=CONSUMER[:1])
def get_history(query: HistoryQuery) -> Reply[HistoryDetails]:
    """Get the rates, depth, failures and latency of a queue or a consumer in the last hour, day or week. Without both,
    get the sums over all queues.

    The service measures about every ten seconds. Without any measurement, for example of a queue that does not exist,
    the lists are empty."""
    if query.consumer is None:
        key = ALL_QUEUES if query.queue_name is None else Key("queue", query.queue_name)
        return Reply(services.histories.of(key, query.period))
    consumer = services.consumers.find_one(WhichConsumer(name=query.consumer))
    return Reply(services.histories.of(Key("consumer", consumer.id), query.period))
