"""Connections to the in-process brokers, and their channels."""

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
from emulators.in_process import EmulatorError, InProcessBroker, Result, shared
from emulators.message import Message

Callback = Callable[[Message], object]

_log = logging.getLogger(__name__)
_this_thread = threading.local()


class Connection:
    """A connection to the in-process broker named `hostname:port`. With `path`, it has its own broker, which stores
    durable queues and persistent messages in that directory. Any login is accepted.
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
        """Open the connection if it is closed. Raises EmulatorError for a `path` that cannot be used or is in use."""
        with self._lock:
            self._connected()
        return self

    def _connected(self) -> InProcessBroker:
        if self._broker is None:
            self._broker = InProcessBroker(Path(self._path)) if self._path else shared(f"{self.hostname}:{self.port}")
        return self._broker

    def channel(self) -> Channel:
        """Return a new channel; open the connection if it is closed."""
        with self._lock:
            self._channels.append(Channel(self, self._connected()))
            return self._channels[-1]

    def disconnect(self) -> None:
        """Close the channels and the connection, and delete its exclusive queues. Do nothing if it is closed."""
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
    """A channel of a client. Each consumer runs its callback in its own thread, one message at a time."""

    def __init__(self, connection: Connection, broker: InProcessBroker) -> None:
        self._broker = broker
        self._closed = False
        self._workers = Workers(partial(Message.delivered, self))
        self.vhost = broker.do(lambda _: broker.core.add_vhost(connection.virtual_host), safely=True)
        self.core = CoreChannel(self.vhost, User(connection.userid, ""), connection, self._workers)

    def do(self, work: Callable[[float], Result], *, safely: bool = False) -> Result:
        def unless_closed(now: float) -> Result:
            if self._closed:
                raise EmulatorError("The channel is closed.")
            return work(now)

        return self._broker.do(unless_closed, safely=safely)

    def exchange_declare(self, exchange: str, type: str = "direct", durable: bool = True,  # noqa: A002 - kombu's name
                         auto_delete: bool = False, arguments: Arguments = None) -> Exchange:  # fmt: skip
        """Return the exchange; create it if it does not exist. `type` is direct, fanout, headers or topic."""
        return Exchange(exchange, type, durable, auto_delete, self, arguments)

    def queue_declare(self, queue: str = "", durable: bool = True, exclusive: bool = False, auto_delete: bool = False,
                      arguments: Arguments = None) -> Queue:  # fmt: skip
        """Return the queue; create it if it does not exist. An empty name gets a generated one."""
        return Queue(queue, None, "", durable, exclusive, auto_delete, self, arguments)

    def queue_bind(self, queue: str, exchange: str, routing_key: str = "", arguments: Arguments = None) -> None:
        """Bind a queue to an exchange. A headers exchange compares `arguments`."""
        self.do(lambda _: self.vhost.bind(exchange, "queue", queue, routing_key, arguments), safely=True)

    def basic_publish(self, message: Message, exchange: str = "", routing_key: str = "") -> None:
        """Publish a message. If the connection has a `path`, wait until a persistent message in a durable queue is on
        disk. Drop an unroutable message. Raises EmulatorError if a full queue refuses it.
        """
        packed = message.packed(exchange, routing_key)
        if self.do(lambda now: self.vhost.publish(packed, now), safely=True).refused:
            raise EmulatorError(f"A queue for routing key {routing_key!r} is full and refuses the message.")

    def basic_get(self, queue: str, no_ack: bool = False, timeout: float | None = 0) -> Message | None:
        """Return the first message that is ready, or arrives within `timeout` seconds (None: no limit); otherwise
        None.
        """

        def take() -> Message | None:
            if self._closed:
                raise EmulatorError("The channel is closed.")
            found = self.core.get(self.vhost.queue(queue), no_ack, time.time())
            return found and Message.delivered(None if no_ack else self, *found)

        return self._broker.wait_for(take, timeout)

    def basic_qos(self, prefetch_count: int, a_global: bool = False) -> None:
        """Limit unsettled messages (0: no limit) for each later consumer, or for the whole channel."""
        self.do(lambda now: self.core.qos(prefetch_count, a_global, now))

    def basic_consume(self, queue: str, callback: Callback, no_ack: bool = False, consumer_tag: str = "") -> str:
        """Call `callback` with each message, in a background thread. Return the consumer's tag.

        If the callback fails, the message is dead-lettered. Without a dead-letter exchange it stays unsettled until the
        channel closes.
        """
        tag = consumer_tag or f"consumer-{uuid4().hex}"

        def begin(now: float) -> None:
            # With no_ack too, the core keeps messages until `_process` acks them, so that none is lost at a close.
            consumer = self.core.consume(self.vhost.queue(queue), tag, now=now)
            self._workers.add(tag, partial(self._process, queue, callback, no_ack))
            self.core.start(consumer, now)

        self.do(begin)
        return tag

    def _process(self, queue: str, callback: Callback, no_ack: bool, message: Message) -> None:
        """Process a message in the consumer's thread."""
        try:
            if no_ack:
                message.ack()
            callback(message)
        except Exception:  # noqa: BLE001 - a failed callback must not stop the consumer
            _log.exception("A callback failed with a message of queue %r.", queue)
            with suppress(EmulatorError):  # already settled, queue deleted or channel closed
                if "x-dead-letter-exchange" in self.do(lambda _: self.vhost.queue(queue)).arguments:
                    message.reject()

    def basic_ack(self, delivery_tag: int) -> None:
        """Acknowledge a message."""
        self.do(lambda now: self.core.ack(delivery_tag, False, now))

    def basic_reject(self, delivery_tag: int, requeue: bool = False) -> None:
        """Requeue a message to its position, or dead-letter or drop it."""
        self.do(lambda now: self.core.nack(delivery_tag, False, requeue, now))

    def close(self) -> None:
        """Wait for the consumers' current messages, then requeue all unsettled ones. Within a callback, do not wait for
        other consumers. Do nothing if the channel is closed.
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
        """Start the consumer's thread."""
        mark = partial(setattr, _this_thread, "is_worker", True)
        self._threads[consumer_tag] = ThreadPoolExecutor(1, f"consumer {consumer_tag}", mark), process

    def deliver(self, consumer_tag: str, delivery_tag: int, entry: Entry) -> None:
        thread, process = self._threads[consumer_tag]
        with suppress(RuntimeError):  # the interpreter is shutting down: the message stays unsettled
            thread.submit(process, self._read(delivery_tag, entry, consumer_tag))

    def cancelled(self, consumer_tag: str) -> None:
        """Stop the consumer's thread. Messages that it has not started were deleted with the queue."""
        self._threads.pop(consumer_tag)[0].shutdown(wait=False, cancel_futures=True)

    def returned(self, *_: object) -> None:
        """Do nothing: publishers wait for the result of the call."""

    confirmed = confirms_due = returned

    def stop(self) -> None:
        """End each thread after its current message. When called by one of the threads, do not wait: two that wait for
        each other would never end.
        """
        for thread, _ in self._threads.values():
            thread.shutdown(wait=False, cancel_futures=True)
        if not hasattr(_this_thread, "is_worker"):
            for thread, _ in self._threads.values():
                thread.shutdown()
