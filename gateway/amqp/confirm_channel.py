"""One channel in confirm mode, and the messages on it that the broker has not confirmed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from domain.errors import BrokerUnavailable, PublishRefused, PublishUnconfirmed, Unroutable, Unwritable, WorkerError
from domain.message import Message
from gateway.amqp.frames import publish_frames
from gateway.loop import contained
from gateway.permissions import ACCESS_REFUSED, PUBLISH, missing_permission

Done = Callable[[WorkerError | None], None]
"""Called once for each message, with its error, or with None when it is confirmed and routed."""
_DEFAULT = "amq.default"
"""RabbitMQ's name of the default exchange in reasons and permissions."""


class ConfirmChannel:
    """Owned by the loop's thread. `refused` is called with this channel at the first `doubt`."""

    def __init__(self, connection: Any, channel: Any, refused: Callable[[ConfirmChannel], None]) -> None:
        self.channel = channel
        self._connection, self._refused = connection, refused
        self._tag = 0
        self._sound = True  # false after the first `doubt`
        self.retired = False
        """whether it closes after its last confirm"""
        self._unconfirmed: OrderedDict[int, _Sent] = OrderedDict()  # oldest first, cheap to take from the front
        self._confirms = 0  # number of the broker's answers
        self._seen = (0, 0)  # tag of the oldest message and that number, at the last `check`
        self.silent = 0
        """number of intervals between two checks in which the broker has confirmed nothing, since its last confirm"""
        self._steady = True  # false after the first interval of silence

    def open(self, ready: Callable[[ConfirmChannel], None]) -> None:
        """Put the channel into confirm mode, then call `ready`."""
        self.channel.add_on_return_callback(self._on_return)
        self.channel.confirm_delivery(self._on_confirm, callback=lambda _frame: ready(self))

    @property
    def is_open(self) -> bool:
        return bool(self.channel.is_open and self._connection.is_open)

    @property
    def pending(self) -> int:
        """The number of messages without a result."""
        return len(self._unconfirmed)

    def check(self) -> bool:
        """Return whether the broker has confirmed nothing since the last check, although it had messages then."""
        oldest = next(iter(self._unconfirmed), 0)
        before, self._seen = self._seen, (oldest, self._confirms)
        self.silent = self.silent + 1 if oldest and before == self._seen else 0
        self._steady = self._steady and not self.silent
        return bool(self.silent)

    @property
    def answers(self) -> bool:
        """Whether the broker has confirmed a message, and has never been silent."""
        return bool(self._confirms) and self._steady

    def routing_keys(self) -> dict[str, None]:
        """Return those of the messages without a result, in their order."""
        return dict.fromkeys(sent.key[1] for sent in self._unconfirmed.values())

    def publish(self, message: Message, done: Done) -> None:
        """Send a message. `done` gets Unwritable at once, or else the broker's result."""
        try:
            frames = publish_frames(self.channel.channel_number, self._connection.params.frame_max, message)
        except (ValueError, TypeError) as exc:
            done(Unwritable(f"The message cannot be encoded in AMQP: {exc}."))
            return
        self._connection.write(frames)
        self._tag += 1
        self._unconfirmed[self._tag] = _Sent(message, done)

    def retire(self) -> None:
        """Close the channel as soon as all its messages are confirmed."""
        self.retired = True
        self._close_when_done()

    def close(self) -> None:
        """Close the channel, even if messages are unconfirmed."""
        if self.is_open:
            self.channel.close()

    def forget(self) -> list[Done]:
        """Remove all messages and return their callbacks; the caller gives each its result."""
        forgotten, self._unconfirmed = self._unconfirmed, OrderedDict()
        return [sent.done for sent in forgotten.values()]

    def lose(self, event: str, reason: str, *, blame: bool) -> WorkerError | None:
        """Give each message its result after the channel was closed. With `blame`, the cause may be the exchange of a
        message: return its error then."""
        lost, self._unconfirmed = self._unconfirmed, OrderedDict()
        blamed = _blamed({sent.key[0] for sent in lost.values()}, reason) if blame else {}
        for sent in lost.values():
            contained(sent.done, blamed.get(sent.key[0]) or _lost(event, reason))
        return next(iter(blamed.values()), None)

    def _on_return(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        """Mark the returned message. RabbitMQ returns messages in the order of publishing, each before its confirm, so
        it is the first unconfirmed one with the same exchange, routing key and message id
        (https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed)."""
        key = (method.exchange, method.routing_key, properties.message_id)
        for sent in self._unconfirmed.values():
            if sent.returned is None and sent.key == key:
                sent.returned = f"{method.reply_code} {method.reply_text}"
                return

    def _on_confirm(self, frame: Any) -> None:
        self._confirms, self.silent = self._confirms + 1, 0
        method = frame.method
        refused = method.NAME == "Basic.Nack"
        tag = method.delivery_tag
        if not method.multiple:
            sent = self._unconfirmed.pop(tag, None)  # None: it got its result when the broker blocked the connection
            if sent is not None:
                contained(sent.done, _verdict(sent, refused))
        else:
            while self._unconfirmed and next(iter(self._unconfirmed)) <= tag:
                _, sent = self._unconfirmed.popitem(last=False)
                contained(sent.done, _verdict(sent, refused))
        if refused:
            self.doubt()
        self._close_when_done()

    def doubt(self) -> None:
        """Have the channel replaced: the broker refuses or does not confirm a message on it."""
        if self._sound:
            self._sound = False
            self._refused(self)

    def _close_when_done(self) -> None:
        if self.retired and not self._unconfirmed:
            self.close()


class _Sent:
    __slots__ = ("done", "key", "returned")

    def __init__(self, message: Message, done: Done) -> None:
        self.done = done
        self.key = (message.exchange, message.routing_key, message.properties.message_id)
        self.returned: str | None = None


def _verdict(sent: _Sent, refused: bool) -> WorkerError | None:
    exchange, routing_key, _ = sent.key
    if refused:
        place, others = f"queue {routing_key!r}", ""
        if exchange:
            place = f"a queue bound to {destination(exchange, routing_key)}"
            others = "; other queues may have received the message"
        return PublishRefused(f"The broker refused the message: {place} is full or unavailable{others}.")
    if sent.returned is None:
        return None
    if not exchange:
        return Unroutable(f"There is no queue named {routing_key!r}; create it first.")
    return Unroutable(f"Exchange {exchange!r} has no queue bound for routing key {routing_key!r}; bind one first.")


def _blamed(exchanges: set[str], reason: str) -> dict[str, WorkerError]:
    """Return the error of each exchange that caused the close of the channel: it is missing or internal, or our user
    lacks permission. The reason truncates a long name; then a channel's only exchange is the cause."""
    if "NOT_FOUND" not in reason and "ACCESS_REFUSED" not in reason:
        return {}
    named = {name for name in exchanges if f"'{name or _DEFAULT}'" in reason}
    if not named and len(exchanges) == 1:
        named = exchanges
    return {name: _refusal(name, missing_permission(reason, PUBLISH) or reason) for name in named}


def _refusal(exchange: str, reason: str) -> WorkerError:
    if not exchange:  # the default exchange always exists
        return BrokerUnavailable(f"{reason}.", code=ACCESS_REFUSED)
    return Unroutable(
        f"Cannot publish to exchange {exchange!r}: {reason}. Create the exchange or grant the permission first.",
        code="exchange_not_found",
    )


def _lost(event: str, reason: str) -> WorkerError:
    return PublishUnconfirmed(
        f"{event} before it confirmed the message ({reason}); the message may have been published."
    )


def destination(exchange: str, routing_key: str) -> str:
    """Return the phrase with which error texts name the queue or exchange that a message is published to."""
    return f"exchange {exchange!r} with routing key {routing_key!r}" if exchange else f"queue {routing_key!r}"
