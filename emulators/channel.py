"""Connections to the brokers of this process, and what they do on channels."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import uuid4

from broker.core.channel import Channel as CoreChannel
from broker.core.message import Entry
from broker.core.users import User
from emulators.entities import Arguments, Exchange, Queue
from emulators.in_process import EmulatorError, Found, InProcessBroker, shared
from emulators.message import Message

Callback = Callable[[Message], object]

_log = logging.getLogger(__name__)
_this_thread = threading.local()


class Connection:
    """A connection to this process's broker of the name `hostname:port`; or, with `path`, to its own, which keeps
    durable queues and persistent messages in that directory. Any login is let in.
    """

    def __init__(self, hostname: str = "localhost", port: int = 5672, userid: str = "guest", password: str = "guest",
                 virtual_host: str = "/", transport: str = "memory", path: Path | str = "") -> None:  # fmt: skip
        self.hostname, self.port, self.userid, self.password = hostname, port, userid, password
        self.virtual_host, self.transport = virtual_host, transport
        self._path = path
        self._lock = threading.Lock()
        self._broker: InProcessBroker | None = None
        self._channels: list[Channel] = []

    def connect(self) -> Connection:
        """Open it, if it is not. Raises EmulatorError when `path` cannot be used, as while it is in use."""
        with self._lock:
            self._connected()
        return self

    def _connected(self) -> InProcessBroker:
        if self._broker is None:
            self._broker = InProcessBroker(Path(self._path)) if self._path else shared(f"{self.hostname}:{self.port}")
        return self._broker

    def channel(self) -> Channel:
        """A new channel; opens the connection first, if need be."""
        with self._lock:
            self._channels.append(Channel(self, self._connected()))
            return self._channels[-1]

    def disconnect(self) -> None:
        """Close its channels and itself, and delete its exclusive queues. Nothing happens the second time."""
        with self._lock:
            broker, self._broker = self._broker, None
            channels, self._channels = self._channels, []
        if broker is not None:
            for channel in channels:
                channel.close()
            vhost = broker.do(lambda _: broker.core.add_vhost(self.virtual_host))
            mine = broker.do(lambda _: [queue.name for queue in vhost.queues.values() if queue.owner is self])
            broker.do(lambda now: [vhost.delete_queue(name, now) for name in mine])
            if self._path:
                broker.close()

    release = disconnect
    __enter__ = connect

    def __exit__(self, *_: object) -> None:
        self.disconnect()


class Channel:
    """What one client does. Each of its consumers runs its callback in a thread of its own, one message at a time."""

    def __init__(self, connection: Connection, broker: InProcessBroker) -> None:
        self._broker = broker
        self._closed = False
        self._workers = Workers(partial(Message.delivered, self))
        self.vhost = broker.do(lambda _: broker.core.add_vhost(connection.virtual_host), safely=True)
        self.core = CoreChannel(self.vhost, User(connection.userid, ""), connection, self._workers)

    def do(self, work: Callable[[float], Found], *, safely: bool = False) -> Found:
        """See InProcessBroker.do."""

        def unless_closed(now: float) -> Found:
            if self._closed:
                raise EmulatorError("The channel is closed.")
            return work(now)

        return self._broker.do(unless_closed, safely=safely)

    def exchange_declare(self, exchange: str, type: str = "direct", durable: bool = True,  # noqa: A002 - kombu's name
                         auto_delete: bool = False, arguments: Arguments = None) -> Exchange:  # fmt: skip
        """The exchange, made if it was not there; `type` is direct, fanout, headers or topic."""
        return Exchange(exchange, type, durable, auto_delete, self, arguments)

    def queue_declare(self, queue: str = "", durable: bool = True, exclusive: bool = False, auto_delete: bool = False,
                      arguments: Arguments = None) -> Queue:  # fmt: skip
        """The queue, made if it was not there; one without a name gets one."""
        return Queue(queue, None, "", durable, exclusive, auto_delete, self, arguments)

    def queue_bind(self, queue: str, exchange: str, routing_key: str = "", arguments: Arguments = None) -> None:
        """Bind a queue to an exchange; `arguments` are what a headers exchange compares."""
        self.do(lambda _: self.vhost.bind(exchange, "queue", queue, routing_key, arguments), safely=True)

    def basic_publish(self, message: Message, exchange: str = "", routing_key: str = "") -> None:
        """Publish. A persistent message in a durable queue is on disk afterwards, if the connection has a `path`; what
        is routed to no queue is dropped. Raises EmulatorError when a full queue refuses it.
        """
        packed = message.packed(exchange, routing_key)
        if self.do(lambda now: self.vhost.publish(packed, now), safely=True).refused:
            raise EmulatorError(f"A queue that {routing_key!r} leads to is full and refuses the message.")

    def basic_get(self, queue: str, no_ack: bool = False, timeout: float | None = 0) -> Message | None:
        """The first message that waits, or that comes within `timeout` seconds (None: any time); or None."""

        def take() -> Message | None:
            if self._closed:
                raise EmulatorError("The channel is closed.")
            found = self.core.get(self.vhost.queue(queue), no_ack, time.time())
            return found and Message.delivered(None if no_ack else self, *found)

        return self._broker.wait_for(take, timeout)

    def basic_qos(self, prefetch_count: int, a_global: bool = False) -> None:
        """At most so many unsettled messages (0: any number) for each later consumer, or for all of the channel."""
        self.do(lambda now: self.core.qos(prefetch_count, a_global, now))

    def basic_consume(self, queue: str, callback: Callback, no_ack: bool = False, consumer_tag: str = "") -> str:
        """Call back with each message, from a background thread; the consumer's tag. A message whose callback fails is
        dead-lettered where its queue has dead letters; else it stays unsettled, and goes back when the channel closes.
        """
        tag = consumer_tag or f"consumer-{uuid4().hex}"

        def begin(now: float) -> None:
            # Even with no_ack the core keeps what was not begun: `_process` acks it.
            consumer = self.core.consume(self.vhost.queue(queue), tag, now=now)
            self._workers.add(tag, partial(self._process, queue, callback, no_ack))
            self.core.start(consumer, now)

        self.do(begin)
        return tag

    def _process(self, queue: str, callback: Callback, no_ack: bool, message: Message) -> None:
        """In the consumer's thread."""
        try:
            if no_ack:
                message.ack()
            callback(message)
        except Exception:  # noqa: BLE001 - whatever it was, the next message is not to blame
            _log.exception("A callback has failed with a message from the queue %r.", queue)
            with suppress(EmulatorError):  # settled already, or the queue or the channel is gone
                if "x-dead-letter-exchange" in self.do(lambda _: self.vhost.queue(queue)).arguments:
                    message.reject()

    def basic_ack(self, delivery_tag: int) -> None:
        """The message is done with."""
        self.do(lambda now: self.core.ack(delivery_tag, False, now))

    def basic_reject(self, delivery_tag: int, requeue: bool = False) -> None:
        """The message goes back to its place in the queue, or to the queue's dead letters, if there are any."""
        self.do(lambda now: self.core.nack(delivery_tag, False, requeue, now))

    def close(self) -> None:
        """Consumers finish the message that they have, then all that is unsettled goes back. Within a callback, other
        consumers are not waited for. Nothing happens the second time.
        """
        if self._closed:
            return
        for tag in list(self.core.consumers):
            self._broker.do(partial(self.core.cancel, tag))
        self._workers.stop()
        self._closed = True
        self._broker.do(self.core.close)


class Workers:
    """A channel's core.channel.Sink: a thread for each consumer, which processes one message after another."""

    writable = True

    def __init__(self, read: Callable[[int, Entry, str], Message]) -> None:
        self._read = read
        self._threads: dict[str, tuple[ThreadPoolExecutor, Callable[[Message], None]]] = {}

    def add(self, consumer_tag: str, process: Callable[[Message], None]) -> None:
        """Have the consumer's messages processed."""
        mark = partial(setattr, _this_thread, "is_worker", True)
        self._threads[consumer_tag] = ThreadPoolExecutor(1, f"consumer {consumer_tag}", mark), process

    def deliver(self, consumer_tag: str, delivery_tag: int, entry: Entry) -> None:
        """See Sink.deliver."""
        thread, process = self._threads[consumer_tag]
        with suppress(RuntimeError):  # the interpreter is ending: the message stays unsettled
            thread.submit(process, self._read(delivery_tag, entry, consumer_tag))

    def cancelled(self, consumer_tag: str) -> None:
        """See Sink.cancelled. What was not begun went with the queue."""
        self._threads.pop(consumer_tag)[0].shutdown(wait=False, cancel_futures=True)

    def returned(self, *_: object) -> None:
        """See Sink.returned, and the two below: whoever publishes waits for the outcome."""

    confirmed = confirms_due = returned

    def stop(self) -> None:
        """Once nothing more is delivered: end each thread after the message that it has. When called by one of them,
        does not wait: two that wait for each other would never end.
        """
        for thread, _ in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        if not hasattr(_this_thread, "is_worker"):
            for thread, _ in self._threads.values():
                thread.shutdown()
