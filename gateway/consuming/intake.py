"""A consumer's channel: opened, its queue looked for, what is missing made, consumed from, left again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from pika.exceptions import NoFreeChannels

from delivery.copies import Source, attempts_charged
from domain.registry import Subscription
from gateway.amqp.pika_private import cancel
from gateway.amqp.topology import DUE, dead_letter_queue
from gateway.consuming.session import Delivery, Session
from gateway.consuming.wiring import Wiring


class Owner(Protocol):
    """Whom the intake serves."""

    def arrived(self, delivery: Delivery) -> None:
        """A message."""

    def opened(self, session: Session) -> None:
        """There is a channel."""

    def late(self, delivery: Delivery) -> None:
        """A message that came after `cancel` or `leave`."""

    def undescribed(self) -> None:
        """The queue is there, but whether its messages may be taken is not known yet."""

    def consuming(self) -> None:
        """From now on messages come."""

    def lost(self, code: int, reason: str, on_purpose: bool) -> None:
        """The channel is closed, and what was open on it is back in the queue. `code` is AMQP's reply code."""

    def idle(self) -> None:
        """Nothing is in flight."""


class Intake:
    """Owned by the loop's thread.

    An `ordered` one has its queue to itself, so it must not let go of it while anything is under way: `leave` closes
    the channel when its owner says that nothing is. Others `cancel` at once.
    """

    def __init__(self, wiring: Wiring, owner: Owner, subscription: Subscription, *, ordered: bool) -> None:
        self._loop, self._standing, self._owner, self._ordered = wiring.loop, wiring.standing, owner, ordered
        self.subscription = subscription
        self.session: Session | None = None
        self.leaving = False
        self._connection: Any = None
        self._opening = False
        self.prefetch: int | None = None
        """messages at most at once; None: take nothing"""
        self._tag: str | None = None  # the consumer tag, while messages come
        self._bound = False  # whether retries come back to the queue

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.is_open

    @property
    def consuming(self) -> bool:
        """Whether messages come."""
        return self._tag is not None

    def connect(self, connection: Any) -> None:
        """Use this connection from now on; None when it is lost."""
        self._connection, self._opening = connection, False
        if connection is None:
            self._lose()

    def take(self, prefetch: int) -> None:
        """Take messages, at most `prefetch` of them at once; as soon as there is a connection and a queue."""
        if self._tag is not None:
            return
        self.prefetch = prefetch
        if self.session is not None:
            if self._bound:
                self._consume()
            else:
                self._found()
        elif self.connected and not self._opening:
            try:
                self._connection.channel(on_open_callback=self._opened)
            except NoFreeChannels:
                limit = self._connection.params.channel_max
                self._owner.lost(0, f"all {limit} channels of the connection are taken: run fewer consumers", False)
            else:
                self._opening = True

    def need_dead_letter_queue(self) -> None:
        """Have our own dead-letter queue, if the queue names none, once its type is known. Nothing waits for it: it may
        lie on a node that is down."""
        facts = self.subscription.queue
        if facts.dead_letter is None and facts.described:
            self._standing.need_dead_letter_queue(dead_letter_queue(self.subscription.spec.queue_name), facts.type)

    def bind(self) -> None:
        """See that retries come back to the queue: somebody may have removed the binding."""
        if self._bound and self.session is not None and self.session.channel.is_open and not self.leaving:
            queue = self.subscription.spec.queue_name
            self.session.channel.queue_bind(queue, DUE, queue, callback=lambda _frame: None)

    def cancel(self, then: Callable[[], None]) -> None:
        """Take no more messages, then go on; one that comes in meanwhile is `late`."""
        self.prefetch = None
        if self.session is None or self._tag is None or not self.session.channel.is_open:
            then()
            return
        tag, self._tag = self._tag, None
        cancel(self.session.channel, tag, then)

    def leave(self) -> None:
        """One that comes from now on is `late`; the channel will be closed."""
        self.prefetch = None
        self.leaving = self.session is not None

    def close(self, reason: str) -> bool:
        """Whether there is a channel to close; `lost` follows then."""
        if self.session is None or not self.session.channel.is_open:
            return False
        self.leaving = True
        tag, self._tag = self._tag, None
        self.session.close(reason, tag)
        return True

    # --- what pika calls -------------------------------------------------------------------------------------------

    def _opened(self, channel: Any) -> None:
        self._opening = False
        session = self.session = Session(self._loop, channel, self.prefetch or 1, self._owner.idle)
        self._owner.opened(session)
        channel.add_on_close_callback(lambda _channel, reason: self._closed(session, reason))
        channel.add_on_cancel_callback(lambda _frame: session.close("the queue was deleted"))
        channel.queue_declare(self.subscription.spec.queue_name, passive=True, callback=lambda _frame: self._found())

    def _found(self) -> None:
        facts, name = self.subscription.queue, self.subscription.spec.queue_name
        if not facts.known:
            self._owner.undescribed()
            return
        self.need_dead_letter_queue()
        if self.session is not None:
            self.session.channel.queue_bind(name, DUE, name, callback=lambda _frame: self._now_bound())

    def _now_bound(self) -> None:
        self._bound = True
        self._consume()

    def _consume(self) -> None:
        if self.session is None or self._tag or self.leaving or self.prefetch is None:
            return
        session, self._tag = self.session, f"workerrmq.{uuid.uuid4().hex[:12]}"
        session.channel.basic_qos(prefetch_count=self.prefetch)
        session.channel.basic_consume(
            self.subscription.spec.queue_name,
            lambda _channel, method, properties, body: self._arrived(session, method, properties, body),
            consumer_tag=self._tag,
            exclusive=self._ordered and not self.subscription.queue.single_active,
            callback=lambda _frame: self._owner.consuming(),
        )

    def _arrived(self, session: Session, method: Any, properties: Any, body: bytes) -> None:
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
        attempt = attempts_charged(properties.headers) + 1
        delivery = Delivery(session, method.delivery_tag, source, attempt, time.monotonic())
        if self.leaving or self._tag is None:
            self._owner.late(delivery)
        else:
            self._owner.arrived(delivery)

    def _lose(self) -> None:
        if self.session is not None:
            self.session.lose()
        self.session = self._tag = None
        self.leaving = self._bound = False

    def _closed(self, session: Session, reason: BaseException) -> None:
        if session is not self.session:
            return
        code, text = getattr(reason, "reply_code", 0), getattr(reason, "reply_text", "") or str(reason)
        on_purpose = self.leaving
        self._lose()
        self._owner.lost(code, text, on_purpose)
