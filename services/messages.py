"""Publishes messages and reads them from queues. A message counts as published once the broker has confirmed it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Lock
from uuid import uuid4

from cachetools import TLRUCache

from domain.errors import BrokerUnavailable, NotFound, QueueUnavailable, Unroutable, WorkerError
from domain.held_message import GetMessages, HeldMessage
from domain.message import Message
from domain.schedule import Scheduled
from gateway.amqp.held_messages import HeldMessages
from gateway.amqp.publisher_thread import PublisherThread
from gateway.management import ExchangeGateway, QueueLookup
from gateway.metrics.instruments import CONFIRM_SECONDS, PUBLISHES
from gateway.tracing import Tracing
from services.returned_messages import ReturnedMessages
from services.single_flight import SingleFlight

_Address = tuple[str, str]
"""An exchange, or a queue."""


class Messages:
    """Thread-safe. Waits for the broker's confirms for at most `timeout` seconds.

    RabbitMQ closes a channel that publishes to a missing or internal exchange. All requests share one channel, so the
    error of one client would leave the messages of all others unconfirmed. Therefore each exchange is looked up before
    its first use.
    """

    def __init__(
        self,
        publisher: PublisherThread,
        exchanges: ExchangeGateway,
        queues: QueueLookup,
        held: HeldMessages,
        timeout: float,
        scheduled: Callable[[Scheduled], None],
        tracing: Tracing | None = None,
        *,
        trusted: float = 10.0,
        untold: float = 2.0,
        most: int = 1000,
        declaring: float = 20.0,
    ) -> None:
        """`scheduled` is called with each message that the broker has confirmed in its delay level, and does not wait.
        With `tracing`, each call has a span. An exchange that exists is not looked up again for `trusted` seconds.
        After the management API failed to answer, skip the lookup for `untold` seconds, because each failure takes
        seconds. Cache at most `most` exchanges and queues. Give scheduled messages `declaring` more seconds: the first
        one waits until its delay levels exist."""
        self._publisher = publisher
        self._exchanges, self._queues = exchanges, queues
        self._returned = ReturnedMessages(queues)
        self._held = held
        self._timeout = timeout
        self._scheduled = scheduled
        self._tracing = tracing
        self._trusted, self._untold, self._declaring = trusted, untold, declaring
        self._seen: TLRUCache[_Address, float] = TLRUCache(most, lambda _address, kept, now: now + kept)
        self._seen_lock = Lock()
        self._lookups: SingleFlight[WorkerError | None] = SingleFlight()

    def publish(self, message: Message) -> None:
        """Publish a message; return once it is in a queue. Raises Unroutable, BrokerUnavailable, and PublishRefused and
        PublishUnconfirmed, after which the message may be in a queue."""
        [error] = self._published([message])
        if error:
            raise error

    def publish_all(self, messages: Sequence[Message]) -> list[WorkerError | None]:
        """Publish messages. Return the error of each, in order, or None if it was published. Raises the errors of
        `publish` when all messages failed with the same code."""
        errors = self._published(messages)
        first = errors[0]
        if first and all(error and error.code == first.code for error in errors):
            none = f"None of the {len(errors)} messages was published."
            if any(error and error.may_be_published for error in errors):
                none = f"The broker confirmed none of the {len(errors)} messages; they may be in a queue."
            raise type(first)(f"{none} {first.detail}", code=first.code, retry_after=first.retry_after)
        return errors

    def get(self, wanted: GetMessages, by: str) -> list[HeldMessage]:
        """Return messages from the head of a queue to the user `by`. `wanted.ack_mode` decides whether they stay in the
        queue; taken messages are lost if the answer does not arrive. Raises NotFound, Locked, Invalid for a stream,
        BrokerUnavailable and, if no message can be dead-lettered, the errors of `publish`."""
        return self._held.get(
            wanted.queue_name, wanted.count, wanted.ack_mode, wanted.truncate_bytes, wanted.filter, by
        )

    def _published(self, messages: Sequence[Message]) -> list[WorkerError | None]:
        at = datetime.now(UTC)
        refusals = {address: self._refusal(address) for address in set(map(_required, messages))}
        accepted = [message for message in messages if not refusals[_required(message)]]
        began = time.perf_counter()
        results = self._sent(accepted)
        if accepted:
            CONFIRM_SECONDS.labels("one" if len(accepted) == 1 else "batch").observe(time.perf_counter() - began)
        remaining = iter(results)
        errors = [refusals[_required(message)] or self._judged(message, next(remaining)) for message in messages]
        for message, error in zip(messages, errors, strict=True):
            if error is None and message.due is not None:
                self._scheduled(_scheduled(message, message.due, at))
        for result, count in Counter(error.code if error else "confirmed" for error in errors).items():
            PUBLISHES.labels(result).inc(count)
        return errors

    def _sent(self, messages: Sequence[Message]) -> list[WorkerError | None]:
        scheduled = any(message.due is not None for message in messages)
        timeout = self._timeout + (self._declaring if scheduled else 0)

        def send(messages: Sequence[Message]) -> list[WorkerError | None]:
            return self._publisher.publish(messages, timeout).result()

        return self._tracing.publish(messages, send) if self._tracing and messages else send(messages)

    def _judged(self, message: Message, error: WorkerError | None) -> WorkerError | None:
        """Return `error`, or for a returned message the outage that may be the reason."""
        if error is None or error.code != Unroutable.code:
            return error
        question = f"{message.exchange}\n{message.routing_key}"
        return self._lookups.call(question, lambda: self._returned.outage(message)) or error

    def _refusal(self, address: _Address) -> WorkerError | None:
        """Return why messages cannot be published to an exchange or scheduled for a queue, or None if they can."""
        with self._seen_lock:
            seen = address in self._seen
        if seen or not any(address):
            return None
        return self._lookups.call("\n".join(address), lambda: self._looked(*address))

    def _looked(self, exchange: str, queue: str) -> WorkerError | None:
        """Look for an exchange or a queue, and note for how long not to look again."""
        refusal, kept = None, self._trusted
        try:
            refusal = self._look_for_exchange(exchange) if exchange else self._look_for_queue(queue)
        except QueueUnavailable:  # it exists
            pass
        except BrokerUnavailable:  # AMQP may work while the management API does not
            kept = self._untold
        if refusal is None:
            with self._seen_lock:
                self._seen[exchange, queue] = kept
        return refusal

    def _look_for_queue(self, queue: str) -> WorkerError | None:
        """Return why messages cannot be scheduled for `queue`. RabbitMQ returns a direct message to a missing queue at
        once; a scheduled one would find out when it is due."""
        try:
            self._queues.find(queue)
        except NotFound:
            return Unroutable(f"There is no queue named {queue!r}; create it first.")
        return None

    def _look_for_exchange(self, exchange: str) -> WorkerError | None:
        missing = Unroutable(f"The exchange {exchange!r} does not exist. Create it first.", code="exchange_not_found")
        try:
            found = self._exchanges.get(exchange)
        except NotFound:
            return missing
        if found.exchange != exchange:  # the management API has another name for the default exchange
            return missing
        if found.internal:
            return Unroutable(f"The exchange {exchange!r} is internal; only other exchanges can publish to it.")
        return None


def _scheduled(message: Message, due: float, at: datetime) -> Scheduled:
    return Scheduled(
        key=uuid4().hex,
        message_id=message.properties.message_id or "",
        exchange=message.exchange,
        queue=message.routing_key,
        at=at,
        due=datetime.fromtimestamp(due, UTC),
        by=message.properties.app_id,
    )


def _required(message: Message) -> _Address:
    """Return what must exist before a message is sent."""
    return message.exchange, "" if message.exchange or message.due is None else message.routing_key
