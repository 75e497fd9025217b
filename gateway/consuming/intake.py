"""A consumer's channel: opens it, checks the queue, declares the dead-letter queue, consumes, and closes it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from pika.exceptions import NoFreeChannels

from delivery.copies import Source, attempts_charged
from domain.registry import Subscription
from gateway.amqp.link import is_error
from gateway.amqp.pika_private import cancel
from gateway.amqp.topology import dead_letter_queue
from gateway.consuming.session import Delivery, Session
from gateway.consuming.wiring import Wiring
from gateway.permissions import CONSUME, missing_permission


class Owner(Protocol):
    """The part of the consumer that its intake calls."""

    def arrived(self, delivery: Delivery) -> None:
        """Called for each message."""

    def watch(self, session: Session) -> None:
        """Called when a channel is open, to ensure that no message is held on it for too long."""

    def late(self, delivery: Delivery) -> None:
        """Called for a message that arrives after `cancel` or `leave`."""

    def undescribed(self) -> None:
        """Called if the queue exists, but the management API has not described it."""

    def consuming(self) -> None:
        """Called when the broker has confirmed the subscription."""

    def lost(self, code: int, reason: str, on_purpose: bool) -> None:
        """Called when the channel is closed and its unsettled messages are requeued. `code` is AMQP's reply code."""

    def idle(self) -> None:
        """Called when nothing is in flight."""


class Intake:
    """Owned by the loop's thread.

    An `ordered` intake consumes its queue exclusively, so it must not cancel while deliveries are in flight: after
    `leave`, its owner closes the channel when none is. Other intakes `cancel` at once.
    """

    def __init__(self, wiring: Wiring, owner: Owner, subscription: Subscription, *, ordered: bool) -> None:
        self._loop, self._standing, self._owner, self._ordered = wiring.loop, wiring.standing, owner, ordered
        self.subscription = subscription
        self.session: Session | None = None
        self.leaving = False
        self._connection: Any = None
        self._opening = False
        self.prefetch: int | None = None
        """maximum number of unsettled messages; None: do not consume"""
        self._tag: str | None = None  # the consumer tag while subscribed
        self._unanswered = False
        self.crashed = False
        """whether the broker closed a connection with an error instead of answering the subscription, and has not
        answered since"""

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.is_open

    @property
    def consuming(self) -> bool:
        """Whether the intake is subscribed."""
        return self._tag is not None

    @property
    def asking(self) -> bool:
        """Whether the broker has still to answer whether the intake may subscribe."""
        return self._opening or self._unanswered

    def connect(self, connection: Any) -> None:
        """Use this connection from now on; None if the last one was lost, or is no longer for this intake."""
        self._connection, self._opening = connection, False
        if connection is None:
            left = self.session
            self._lose()
            if left is not None and left.channel.is_open:
                left.channel.close()

    def take(self, prefetch: int) -> None:
        """Consume with this `prefetch`, as soon as there is a connection and a queue."""
        if self._tag is not None:
            return
        self.prefetch = prefetch
        if self.session is not None:
            self._found()
        elif self.connected and not self._opening:
            try:
                self._connection.channel(on_open_callback=self._opened)
            except NoFreeChannels:
                limit = self._connection.params.channel_max
                self._owner.lost(0, f"all {limit} channels of the connection are in use; run fewer consumers", False)
            else:
                self._opening = True

    def need_dead_letter_queue(self) -> None:
        """Declare our own dead-letter queue if the queue has no dead-letter exchange, once its type is known. Nothing
        waits for it, because it may be on a node that is down."""
        facts = self.subscription.queue
        if facts.dead_letter is None and facts.described:
            self._standing.need_queue(dead_letter_queue(self.subscription.spec.queue_name), facts.type)

    def cancel(self, then: Callable[[], None]) -> None:
        """Cancel the subscription, then call `then`. A message that arrives meanwhile is `late`."""
        self.prefetch = None
        session = self.session
        if session is None or not session.channel.is_open:
            then()
        elif self._unanswered and not session.unsettled:  # the broker may never answer
            self._lose()
            session.channel.close()
            then()
        elif self._tag is None:
            then()
        else:
            tag, self._tag = self._tag, None
            cancel(session.channel, tag, then)

    def leave(self) -> None:
        """Treat messages that arrive from now on as `late`; the owner will close the channel."""
        self.prefetch = None
        self.leaving = self.session is not None

    def close(self, reason: str) -> bool:
        """Close the channel. Return whether there was one to close; if so, `lost` follows."""
        if self.session is None or not self.session.channel.is_open:
            return False
        self.leaving = True
        tag, self._tag = self._tag, None
        self.session.close(reason, tag)
        return True

    # --- what pika calls -------------------------------------------------------------------------------------------

    def _opened(self, channel: Any) -> None:
        if channel.connection is not self._connection:
            channel.close()
            return
        self._opening = False
        if self.prefetch is None:  # the consumer was stopped meanwhile
            channel.close()
            return
        self._unanswered = True
        session = self.session = Session(self._loop, channel, self.prefetch or 1, self._owner.idle)
        self._owner.watch(session)
        channel.add_on_close_callback(lambda _channel, reason: self._closed(session, reason))
        channel.add_on_cancel_callback(lambda _frame: session.close("the queue was deleted"))
        channel.queue_declare(self.subscription.spec.queue_name, passive=True, callback=lambda _frame: self._declared())

    def _declared(self) -> None:
        if self._tag is None:
            self._found()

    def _found(self) -> None:
        self._unanswered = False
        if not self.subscription.queue.known:
            self._owner.undescribed()
            return
        self.need_dead_letter_queue()
        self._consume()

    def _consume(self) -> None:
        if self.session is None or self._tag or self.leaving or self.prefetch is None:
            return
        session, self._tag = self.session, f"workerrmq.{uuid.uuid4().hex[:12]}"
        self._unanswered = True
        session.channel.basic_qos(prefetch_count=self.prefetch)
        session.channel.basic_consume(
            self.subscription.spec.queue_name,
            partial(self._arrived, session),
            consumer_tag=self._tag,
            exclusive=self._ordered and not self.subscription.queue.single_active,
            callback=lambda _frame: self._consuming(session),
        )

    def _consuming(self, session: Session) -> None:
        if session is self.session:
            self._unanswered = self.crashed = False
            self._owner.consuming()

    def _arrived(self, session: Session, _channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if session is not self.session:
            return
        source = Source(
            self.subscription.spec.queue_name,
            method.exchange,
            method.routing_key,
            properties,
            body,
            properties.message_id or f"msg_{uuid.uuid4().hex}",
        )
        attempt = attempts_charged(properties.headers, source.queue) + 1
        now, redelivered = time.monotonic(), method.redelivered
        delivery = Delivery(session, method.delivery_tag, source, attempt, now, redelivered=redelivered)
        if self.leaving or self._tag is None:
            self._owner.late(delivery)
        else:
            self._owner.arrived(delivery)

    def _lose(self) -> None:
        if self.session is not None:
            self.session.lose()
        self.session = self._tag = None
        self.leaving = self._unanswered = False

    def _closed(self, session: Session, reason: BaseException) -> None:
        if session is not self.session:
            return
        code, text = getattr(reason, "reply_code", 0), getattr(reason, "reply_text", "") or str(reason)
        text = missing_permission(text, CONSUME) or text
        on_purpose = self.leaving
        self.crashed |= self._unanswered and is_error(reason)
        self._lose()
        self._owner.lost(code, text, on_purpose)
