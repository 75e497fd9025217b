"""The attempts of messages, and the life of one: GET /getDeliveries, GET /getMessage."""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field

from domain.attempt import AttemptDetails, AttemptFilter, Result, details_of
from domain.errors import Forbidden
from domain.message_life import MessageLife
from domain.model import Model
from domain.names import QueueName, ShortString
from middlewares.auth import caller, services
from routes.api import Api, Reply
from routes.paging import LogQuery, paged
from routes.refusals import LOOK
from routes.scope import FILTERED, Touches

api = Api("deliveries")


class WhichDeliveries(LogQuery):
    """Filters of the attempts; an attempt must match all of them."""

    sort: Literal["at", "consumer", "queueName", "attempt", "result", "status", "durationMs"] = "at"
    consumer: str | None = Field(None, max_length=255, description="the consumer's name")
    queue_name: ShortString | None = None
    message_id: str | None = Field(None, max_length=255)
    result: Result | None = None
    destination: ShortString | None = Field(
        None, description="the queue to which the messages went, such as a dead-letter queue"
    )


class WhichMessage(Model):
    """The message, and a queue to look into."""

    message_id: str = Field(min_length=1, max_length=255, examples=["order-4711"])
    look_in: QueueName | None = Field(
        None, description="look for the message in this queue, such as a dead-letter queue; requires the role operator"
    )


@api.get("/getDeliveries", role="viewer", touches=FILTERED)
def get_deliveries(query: WhichDeliveries) -> Reply[list[AttemptDetails]]:
    """List the attempts of the last seven days: all failures, and a sample of the successes."""
    named = query.model_dump(include={"consumer", "message_id", "result", "since", "until", "destination"})
    wanted = AttemptFilter(queue=query.queue_name, only=caller().queues, **named)
    shown = partial(details_of, answers=caller().may("operator"))
    return paged(services.deliveries.page(wanted, query.order(), query.page, query.page_size), query, shown)


@api.get(
    "/getMessage",
    role="viewer",
    touches=Touches(lambda query: [] if query.look_in is None else [query.look_in]),
    refuses=LOOK,
)
def get_message(query: WhichMessage) -> Reply[MessageLife]:
    """Get the life of one message: its schedule, its publication, its attempts with the target's answers, waiting
    retries, dead letters and replays, in the order of time; and for each queue, where it is now.

    The answer comes from the attempt log, which keeps all failures, and the success after a failure, for seven days,
    and from the records of scheduled messages, which are kept until one day after a message was due. `notes` say what
    is not known. With `lookIn`, the service also looks for the message among the first 10,000 messages of a queue; they
    stay there, marked as redelivered."""
    operator = caller().may("operator")
    if query.look_in is not None and not operator:
        raise Forbidden("lookIn requires the role 'operator'. Leave it out to read the attempt log only.")
    return Reply(services.deliveries.life(query.message_id, caller().queues, query.look_in, answers=operator))
