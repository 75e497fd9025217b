"""Messages: POST /messagePublish, POST /getMessages."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import request

from domain.errors import WorkerError
from domain.held_message import GetMessages, HeldMessage
from domain.message import Message
from domain.publication import PublishRequest
from domain.trace import trace_headers
from middlewares.auth import caller, services
from middlewares.request_log import correlation_id, note
from routes.answers import BatchPublished, Published
from routes.api import Api, Reply, done
from routes.refusals import AMQP, COPIES, LOOK
from routes.scope import ITS_QUEUE, Touches

api = Api("messages")


def _published(body: PublishRequest) -> Iterator[str | None]:
    """Yield the queues to publish to and the reply queues; None for a publish to an exchange."""
    for one in body.messages or (body,):
        yield one.queue_name
        if one.properties.reply_to is not None:
            yield one.properties.reply_to


@api.post(
    "/messagePublish",
    role="publisher",
    idempotent=True,
    audit="refused",
    touches=Touches(_published),
    lines="messages",
    statuses=(200, 207),
    refuses=(*COPIES, "422 exchange_not_found", *AMQP, "503 queue_unavailable"),
)
def message_publish(body: PublishRequest) -> Reply[Published | BatchPublished]:
    """Publish one message, or a batch of up to 10,000: as `messages`, or as NDJSON with one message per line.

    With `deliverAt` or `delaySeconds`, the message is scheduled: it arrives in its queue at that time, never earlier,
    and normally within two seconds. You cannot cancel a scheduled message.

    The answer is 200 once the broker has confirmed that all messages are in a queue, and scheduled ones in their delay
    level. If only some messages of a batch are confirmed, the answer is 207 with one result per message, in order:
    resend those whose `status` is `failed`. If all messages failed with the same error, the answer is that error."""
    correlation = correlation_id()
    trace = trace_headers(request.headers.get("traceparent", ""), request.headers.get("tracestate", ""))
    now, publisher = time.time(), caller().username
    if body.messages is None:
        message = body.to_message(correlation, trace, now, publisher)
        note(message_id=message.properties.message_id)
        services.messages.publish(message)
        if message.due is None:
            return done("Message has been published successfully.", messageId=message.properties.message_id)
        return done("Message has been scheduled successfully.", **_named(message))
    batch = [item.to_message(correlation, trace, now, publisher) for item in body.messages]
    note(messages=len(batch))
    return _batch_reply(batch, services.messages.publish_all(batch))


@api.post("/getMessages", role="operator", touches=ITS_QUEUE, refuses=(*LOOK, *COPIES))
def get_messages(body: GetMessages) -> Reply[list[HeldMessage]]:
    """Read messages from the head of a queue, and keep or remove them.

    A peek marks the messages as redelivered, but never uses up the delivery limit of a quorum queue. Messages that you
    take are lost if this answer does not reach you: to process messages, create a consumer. A rejected message goes to
    the dead-letter exchange of its queue. If the queue has none, or if that does not exist, it goes to `<queue>.dlq`.
    A message that cannot be dead-lettered stays in its queue, and the answer does not list it; if no message can be,
    the answer is the error."""
    return Reply(services.messages.get(body, caller().username))


def _batch_reply(batch: Sequence[Message], errors: Sequence[WorkerError | None]) -> Reply[Any]:
    results = [_result(message, error) for message, error in zip(batch, errors, strict=True)]
    failed = len(errors) - errors.count(None)
    counts: dict[str, Any] = {"published": len(errors) - failed, "failed": failed, "results": results}
    if failed:
        uncertain = sum(error is not None and error.may_be_published for error in errors)
        may = f" {uncertain} of these may be in a queue." if uncertain else ""
        return done(f"{failed} of {len(errors)} messages failed.{may}", status=207, **counts)
    return done(f"{len(errors)} messages have been published successfully.", **counts)


def _result(message: Message, error: WorkerError | None) -> dict[str, Any]:
    if error:
        named = {"messageId": message.properties.message_id}
        return {**named, "status": "failed", "code": error.code, "detail": error.detail}
    return {**_named(message), "status": "published"}


def _named(message: Message) -> dict[str, Any]:
    named: dict[str, Any] = {"messageId": message.properties.message_id}
    return named if message.due is None else {**named, "deliverAt": datetime.fromtimestamp(message.due, UTC)}
