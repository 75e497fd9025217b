"""One consumer on the loop: its channel, from opening to draining. Acks: session.py; outcomes: settlement.py."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from delivery.copies import Source, attempts_charged
from domain.outcome import Answer, ErrorClass
from domain.registry import Actual, Report, Subscription
from gateway.amqp.loop import Loop
from gateway.amqp.publisher import Publisher
from gateway.amqp.topology import RETURN, Ladder, dead_letter_queue
from gateway.http import HttpClient
from gateway.session import Session
from gateway.settlement import Delivery, Settlement

log = structlog.get_logger("workerrmq.delivery")

_LONGEST_WAIT = 5.0
"""Seconds between two looks for a queue that is not there."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What all consumers of a thread share; owned by the loop's thread like everything here."""

    loop: Loop
    http: HttpClient
    publisher: Publisher
    ladder: Ladder


class Consumer:
    """Owned by the loop's thread. `connected`, `disconnected`, `change`, `drain` and `report` are the thread's to call,
    `rest`, `suspend` and `declare_dead_letter_queue` the settlement's."""

    def __init__(self, wiring: Wiring, subscription: Subscription) -> None:
        self.wiring = wiring
        self._connection: Any = None
        self._opening = False
        self._session: Session | None = None
        self._tag: str | None = None  # the consumer tag, while we take messages
        self._state: Actual = "waiting"
        self._reason: str | None = "the broker is not connected"
        self._tries = 0
        self._drained: Callable[[], None] | None = None
        self._exists_otherwise = False  # our dead-letter queue, as somebody else declared it
        self.subscription = subscription
        self.settlement = Settlement(self, wiring, subscription)

    # --- what the thread calls -------------------------------------------------------------------------------------

    def connected(self, connection: Any) -> None:
        self._connection = connection
        self._open()

    def disconnected(self, reason: str) -> None:
        self._connection, self._opening = None, False
        self._lose_session()
        if self._state not in ("suspended", "draining"):
            self._set("waiting", f"the broker is not connected: {reason}")
        self._finish_drain()

    def change(self, subscription: Subscription) -> None:
        """Take up a new revision; what is in flight ends under the old one. The queue must be the same."""
        before, self.subscription = self.subscription, subscription
        counters = self.settlement.counters
        self.settlement = Settlement(self, self.wiring, subscription)
        self.settlement.counters = counters
        if self._state == "suspended":
            self._set("starting", None)
            self._open() if self._session is None else self._consume()
        elif before.spec.prefetch != subscription.spec.prefetch:
            self._cancel(self._consume)

    def drain(self, drained: Callable[[], None]) -> None:
        """Take no more, finish what is in flight, close the channel, then call `drained`."""
        self._drained = drained
        self._set("draining", None)
        self._cancel(self._finish_drain)

    def report(self) -> Report:
        counters = self.settlement.counters
        return Report(
            consumer_id=self.subscription.id,
            revision=self.subscription.revision,
            state="failing" if self._state == "running" and counters.failing else self._state,
            reason=self._reason,
            in_flight=self._session.in_flight if self._session else 0,
            delivered=counters.delivered,
            retried=counters.retried,
            dead_lettered=counters.dead_lettered,
            requeued=counters.requeued,
            last_status=counters.last_status,
            error=counters.error,
            error_at=counters.error_at,
        )

    # --- the channel: open, look for the queue, make what is missing, consume ----------------------------------------

    def _open(self) -> None:
        ready = self._connection is not None and self._connection.is_open and not self._opening
        if ready and self._session is None and self._state not in ("suspended", "draining"):
            self._opening = True
            self._connection.channel(on_open_callback=self._opened)

    def _opened(self, channel: Any) -> None:
        self._opening = False
        prefetch = self.subscription.spec.prefetch
        session = self._session = Session(self.wiring.loop, channel, prefetch, self._finish_drain)
        channel.add_on_close_callback(lambda _channel, reason: self._closed(session, reason))
        channel.add_on_cancel_callback(lambda _frame: session.close("the queue was deleted"))
        channel.queue_declare(self.subscription.spec.queue_name, passive=True, callback=lambda _frame: self._found())

    def _found(self) -> None:
        if self.subscription.queue.dead_letter is None:
            self.declare_dead_letter_queue(self._bind_return)
        else:
            self._bind_return()

    def declare_dead_letter_queue(self, then: Callable[[], None]) -> None:
        """Make our own dead-letter queue, then go on. One that exists otherwise is used as it is: see `_closed`."""
        if self._session is None or self._exists_otherwise:
            then()
            return
        name = dead_letter_queue(self.subscription.spec.queue_name)
        arguments = {"x-queue-type": "quorum"} if self.subscription.queue.type == "quorum" else {}
        self._session.channel.queue_declare(name, durable=True, arguments=arguments, callback=lambda _frame: then())

    def _bind_return(self) -> None:
        if self._session is not None:
            queue = self.subscription.spec.queue_name
            self._session.channel.queue_bind(queue, RETURN, queue, callback=lambda _frame: self._consume())

    def _consume(self) -> None:
        if self._session is None or self._tag or self._state in ("suspended", "draining"):
            return
        spec = self.subscription.spec
        self._tag = f"workerrmq.{uuid.uuid4().hex[:12]}"
        self._session.channel.basic_qos(prefetch_count=spec.prefetch)
        self._session.channel.basic_consume(
            spec.queue_name, self._on_message, consumer_tag=self._tag, callback=lambda _frame: self._running()
        )

    def _running(self) -> None:
        self._tries = 0
        if self._state not in ("suspended", "draining"):
            self._set("running", None)
            log.info("consumer_running", **self._who())

    def _cancel(self, then: Callable[[], None]) -> None:
        """Stop taking messages, then go on; what comes in meanwhile pika gives back."""
        if self._session is None or self._tag is None or not self._session.channel.is_open:
            then()
            return
        tag, self._tag = self._tag, None
        self._session.channel.basic_cancel(tag, callback=lambda _frame: then())

    def _lose_session(self) -> None:
        if self._session is not None:
            self._session.lose()
        self._session = self._tag = None

    def _closed(self, session: Session, reason: BaseException) -> None:
        if session is not self._session:
            return
        self._lose_session()
        text = getattr(reason, "reply_text", "") or str(reason)
        if getattr(reason, "reply_code", 0) == 406 and not self._exists_otherwise:
            own = dead_letter_queue(self.subscription.spec.queue_name)
            self._exists_otherwise = f"'{own}'" in text
        if self._state == "draining":
            self._finish_drain()
        elif self._state != "suspended" and self._connection is not None and self._connection.is_open:
            if self._tries == 0:
                log.warning("consumer_waiting", reason=text, **self._who())
            self._set("waiting", text)
            self._tries += 1
            self.wiring.loop.call_later(min(_LONGEST_WAIT, 0.125 * 2 ** min(self._tries, 10)), self._open)

    def _finish_drain(self) -> None:
        """Called whenever nothing is in flight; matters only while draining."""
        if self._drained is None or (self._session is not None and self._session.in_flight):
            return
        if self._session is not None and self._session.channel.is_open:
            self._session.close("drained")  # comes back by way of _closed
            return
        drained, self._drained = self._drained, None
        drained()

    # --- deliveries ------------------------------------------------------------------------------------------------

    def _on_message(self, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        session = self._session
        if session is None:
            return
        session.arrived(method.delivery_tag)
        source = Source(
            self.subscription.spec.queue_name,
            method.exchange,
            method.routing_key,
            properties,
            body,
            properties.message_id or f"msg_{uuid.uuid4().hex}",
        )
        attempt = attempts_charged(properties.headers) + 1
        delivery = Delivery(session, method.delivery_tag, source, attempt, self.settlement)
        try:
            self.settlement.send(delivery)
        except Exception as exc:  # a message that we cannot send must not take the connection with it
            log.exception("request_failed", message_id=source.message_id, **self._who())
            delivery.answered(Answer(None, ErrorClass.PROTOCOL, f"the request cannot be made: {exc}", 0.0))

    def rest(self, seconds: float, reason: str) -> None:
        """Take nothing for a while."""
        if self._state == "running":
            self._set("resting", reason)
            self._cancel(lambda: None)
            self.wiring.loop.call_later(seconds, self._end_rest)

    def _end_rest(self) -> None:
        if self._state == "resting":
            self._consume()

    def suspend(self, reason: str) -> None:
        """Take nothing until the consumer is changed or resumed."""
        if self._state not in ("suspended", "draining"):
            log.error("consumer_suspended", reason=reason, **self._who())
            self._set("suspended", reason)
            self._cancel(lambda: None)

    def _set(self, state: Actual, reason: str | None) -> None:
        self._state, self._reason = state, reason

    def _who(self) -> dict[str, str]:
        spec = self.subscription.spec
        return {"consumer": spec.name or spec.queue_name, "queue": spec.queue_name}
