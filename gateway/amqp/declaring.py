"""Declares exchanges and queues on a loop, step by step, on separate channels.

A refusal closes the channel (AMQP 0-9-1 §1.3), so a declaration never shares a channel with deliveries or confirms.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any

from pika.exceptions import NoFreeChannels

Step = Callable[[Any, Callable[[Any], None]], None]
"""Called with a channel and the callback for the broker's answer."""

Declaration = Generator[Step, None, Any]
"""Yields steps. A refused step raises `Refused` at its yield. Returns whether it created a queue."""

Done = Callable[["Refused | None"], None]

_NOT_FOUND, _PRECONDITION_FAILED = 404, 406


class Refused(Exception):
    """The broker refused a step and closed the channel; `code` is AMQP's reply code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def says_missing(self) -> bool:
        """Whether the queue is missing. RabbitMQ also answers 404 for a queue whose node is down."""
        return self.code == _NOT_FOUND and "no queue '" in self.text


def exchange(name: str, kind: str, arguments: Mapping[str, Any] | None = None) -> Declaration:
    """Declare a durable exchange unless one of that name exists."""
    given = dict(arguments or {})
    yield from _unless_there(
        lambda channel, done: channel.exchange_declare(name, passive=True, callback=done),
        lambda channel, done: channel.exchange_declare(name, kind, durable=True, arguments=given, callback=done),
    )


def fanout(name: str) -> Declaration:
    """Declare a durable fanout exchange; replace one of another type, which an earlier version declared."""

    def make(channel: Any, done: Callable[[Any], None]) -> None:
        channel.exchange_declare(name, "fanout", durable=True, callback=done)

    try:
        yield make
    except Refused as other:
        if other.code != _PRECONDITION_FAILED:
            raise
        yield lambda channel, done: channel.exchange_delete(name, callback=done)
        yield make


def look_for(queue_name: str) -> Declaration:
    """Check whether a queue exists: raise Refused if it does not."""
    yield lambda channel, done: channel.queue_declare(queue_name, passive=True, callback=done)


def bind(queue_name: str, to: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None) -> Step:
    """Return the step that binds a queue to an exchange."""
    return lambda channel, done: channel.queue_bind(queue_name, to, routing_key, dict(arguments or {}), callback=done)


def queue(name: str, arguments: Mapping[str, Any]) -> Declaration:
    """Declare a durable queue unless one of that name exists. An existing queue may have other arguments, from an
    earlier version, from another version of RabbitMQ, or from an operator."""
    given = dict(arguments)
    return (
        yield from _unless_there(
            lambda channel, done: channel.queue_declare(name, passive=True, callback=done),
            lambda channel, done: channel.queue_declare(name, durable=True, arguments=given, callback=done),
        )
    )


def _unless_there(look: Step, make: Step) -> Declaration:
    """Declare unless it exists; return whether it was created. The passive check needs no configure permission."""
    try:
        yield look
    except Refused as absent:
        if absent.code != _NOT_FOUND:
            raise
    else:
        return False
    try:
        yield make
    except Refused as exists:
        if exists.code != _PRECONDITION_FAILED:  # 406: another client has just declared it differently
            raise
    return True


def declare(connection: Any, declaration: Declaration, done: Done) -> None:
    """Run a declaration on a connection. `done` gets None, or the refusal that ended it. `done` is not called if the
    connection is lost first."""
    _Run(connection, declaration, done).open()


class _Run:
    """Owned by the loop's thread."""

    def __init__(self, connection: Any, declaration: Declaration, done: Done) -> None:
        self._connection, self._declaration, self._done = connection, declaration, done
        self._channel: Any = None
        self._step: Step | None = None

    def open(self) -> None:
        if not self._connection.is_open:
            return
        try:
            self._connection.channel(on_open_callback=self._opened)
        except NoFreeChannels:
            self._done(Refused(0, "all channels of the connection are in use; run fewer consumers"))

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._closed)
        if self._step is None:
            self._advance(partial(next, self._declaration))
        else:
            self._take()

    def _answered(self, _frame: Any) -> None:
        self._advance(partial(next, self._declaration))

    def _closed(self, channel: Any, reason: Any) -> None:
        """Raise the refusal in the declaration, and continue on a new channel if the declaration handles it."""
        if channel is not self._channel or not self._connection.is_open:
            return
        self._channel = None
        refused = Refused(getattr(reason, "reply_code", 0), getattr(reason, "reply_text", "") or str(reason))
        self._advance(partial(self._declaration.throw, refused))

    def _advance(self, resume: Callable[[], Step]) -> None:
        try:
            self._step = resume()
        except StopIteration:
            self._end(None)
        except Refused as refused:
            self._end(refused)
        else:
            if self._channel is None:
                self.open()
            else:
                self._take()

    def _take(self) -> None:
        assert self._step is not None
        if self._channel.is_open:  # else `_closed` follows
            self._step(self._channel, self._answered)

    def _end(self, refused: Refused | None) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and channel.is_open:
            channel.close()
        self._done(refused)
