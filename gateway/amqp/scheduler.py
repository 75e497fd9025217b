"""Publishes scheduled messages to the delay levels, after declaring them."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

from delivery.periods import Periods
from delivery.scheduled import arrived, enter, seconds_in_levels, waiting
from domain.errors import BrokerUnavailable, Unroutable, WorkerError
from domain.message import Message
from gateway.amqp.confirm_channel import Done
from gateway.amqp.publisher import Publisher, unavailable
from gateway.amqp.standing import Failed, Standing, Then
from gateway.amqp.topology import entrance
from gateway.loop import Loop


class Scheduler:
    """Declares the levels when the first scheduled message needs them, and checks them again after `Periods.verify`.
    Owned by the loop's thread."""

    def __init__(self, loop: Loop, publisher: Publisher, periods: Periods) -> None:
        self._loop, self._publisher, self._periods = loop, publisher, periods
        self._standing = Standing(loop, periods)
        publisher.on_up, publisher.on_down = self._connected, self._standing.disconnected
        self._looked_at = 0.0
        self._waiting: dict[Done, Message] = {}  # messages that wait for their levels
        self._sent: dict[Done, Done] = {}  # by caller's callback: the callback that the publisher has

    def publish(self, message: Message, done: Done) -> None:
        """Publish a message that has a `due` time; directly if that is past. `done` gets the results of
        Publisher.publish, or BrokerUnavailable if the broker refuses to declare a level."""
        if time.monotonic() - self._looked_at > self._periods.verify:
            self._looked_at = time.monotonic()
            self._standing.doubt()
        self._waiting[done] = message
        self._ask(done)

    def need_queue(self, name: str, kind: str, then: Then, failed: Failed) -> None:
        """Declare a queue that was found missing, as Standing.need_queue."""
        self._standing.doubt()
        self._standing.need_queue(name, kind, then, failed)

    def give_up(self, done: Done) -> WorkerError | None:
        """Drop a message that was not sent yet. Return the reason; None if it was sent, or is unknown."""
        waits = self._waiting.pop(done, None) is not None
        if waits and self._publisher.up:
            return BrokerUnavailable(
                "The delay levels for scheduled messages are being declared. Publish the message again.",
                retry_after=self._periods.settling,
            )
        sent = self._sent.pop(done, None)
        return unavailable(self._publisher.error) if waits or (sent and self._publisher.give_up(sent)) else None

    def _connected(self, connection: Any) -> None:
        """Declare the levels for the messages that wait for a connection."""
        self._standing.connected(connection)
        for done in list(self._waiting):
            self._ask(done)

    def _ask(self, done: Done) -> None:
        """Send a message once its levels exist or it is due, whichever is first."""
        message, now = self._waiting[done], time.time()
        assert message.due is not None
        delay = seconds_in_levels(message.due, now)
        self._standing.need_schedule(delay, partial(self._send, done), partial(self._refused, done))
        if done in self._waiting and delay < self._periods.verify:
            self._loop.call_later(max(0.0, message.due - now), partial(self._send, done))

    def _refused(self, done: Done, reason: str) -> bool:
        if self._waiting.pop(done, None):
            done(BrokerUnavailable(reason, retry_after=self._periods.declare_again))
        return True

    def _send(self, done: Done) -> None:
        message = self._waiting.pop(done, None)
        if message is None:  # given up, or sent already
            return
        now = time.time()
        assert message.due is not None
        if message.due <= now:
            properties = arrived(message.properties, message.due, now)
            self._publisher.publish(replace(message, properties=properties), done)
            return

        def answered(error: WorkerError | None) -> None:
            self._sent.pop(done, None)
            if isinstance(error, Unroutable):  # a level was deleted
                error = BrokerUnavailable("A delay level is missing. Publish the message again.", retry_after=1)
                self._standing.doubt()
            done(error)

        delay = seconds_in_levels(message.due, now)
        self._sent[done] = answered
        self._publisher.publish(enter(waiting(message, message.due), delay, entrance(delay)), answered)
