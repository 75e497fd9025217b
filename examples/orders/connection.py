"""The demo's connections: connects, publishes, and consumes through outages. A connection belongs to one thread."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelWrongStateError

from examples.orders.topology import declare

Handle = Callable[[BlockingChannel, pika.spec.Basic.Deliver, pika.BasicProperties, dict[str, Any]], None]
NEVER = Event()


def say(who: str, what: str) -> None:
    """Print a line at once, without mixing it with other threads' lines."""
    print(f"{who:>13} | {what}\n", end="", flush=True)


def heading(text: str) -> None:
    """Print the heading of a new part."""
    print(f"\n== {text}", flush=True)


def connect(url: str, **changes: Any) -> pika.BlockingConnection:
    """Return a connection with heartbeats and timeouts (seconds). `changes` override pika's parameters.

    Raises AMQPConnectionError with one sentence for every cause.
    """
    try:
        parameters = pika.URLParameters(url)
        usual = {"heartbeat": 60, "blocked_connection_timeout": 300, "socket_timeout": 10}
        for name, value in (usual | changes).items():
            setattr(parameters, name, value)
        return pika.BlockingConnection(parameters)
    except (AMQPError, AMQPConnectorException, OSError, ValueError, LookupError) as error:
        reason = str(error) or "no answer"
        hint = "RABBITMQ_URL is amqp://user:password@host:port/vhost; without it, the project's own broker is started."
        raise AMQPConnectionError(f"Cannot use the broker at {url.rpartition('@')[2]}: {reason}. {hint}") from error


@contextmanager
def channel_to(url: str, **changes: Any) -> Iterator[BlockingChannel]:
    """Yield a channel on its own connection, with publisher confirms and a prefetch of 1."""
    connection = connect(url, **changes)
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=1)
        yield channel
    finally:
        with suppress(AMQPError):  # an error here must not hide the first one, such as Ctrl+C
            connection.close()


def publish(channel: BlockingChannel, exchange: str, key: str, message: dict[str, Any], **properties: Any) -> None:
    """Publish a message and wait until the broker has it, on disk in a durable queue."""
    persistent = pika.BasicProperties(delivery_mode=2, content_type="application/json", **properties)
    channel.basic_publish(exchange, key, json.dumps(message).encode(), persistent)


def temporary(channel: BlockingChannel, **arguments: Any) -> str:
    """Declare a queue that is deleted with its connection."""
    return str(channel.queue_declare("", exclusive=True, arguments=arguments).method.queue)


def drain(channel: BlockingChannel, queue: str) -> list[str]:
    """Get all messages of a queue."""
    return [body.decode().strip() for body in iter(lambda: channel.basic_get(queue, auto_ack=True)[2], None)]


def surviving(url: str, who: str, work: Callable[[BlockingChannel], None], ended: Event = NEVER) -> None:
    """Run `work` on a channel until it returns. After a lost connection, reconnect and run it again, unless `ended`."""
    while True:
        try:
            with channel_to(url) as channel:
                declare(channel)
                return work(channel)
        except (AMQPConnectionError, ChannelWrongStateError) as error:
            if ended.is_set():
                return None
            say(who, f"lost the broker ({type(error).__name__}): reconnecting in a second")
            time.sleep(1)


def consume(url: str, who: str, queue: str, handle: Handle, ended: Event = NEVER) -> None:
    """Pass messages to `handle`: ack, or nack for ValueError and the like. Return when `ended` is set and the queue is
    empty.
    """

    def take(channel: BlockingChannel) -> None:
        say(who, f"waits for messages in queue {queue}")
        for method, properties, body in channel.consume(queue, inactivity_timeout=0.2):
            if method is not None:
                _settle(channel, who, handle, method, properties, body)
            elif ended.is_set():
                return

    surviving(url, who, take, ended)


def _settle(channel: BlockingChannel, who: str, handle: Handle, method: Any, properties: Any, body: bytes) -> None:
    try:
        handle(channel, method, properties, json.loads(body))
        channel.basic_ack(method.delivery_tag)
    except (ValueError, LookupError, TypeError) as error:
        say(who, f"nack, not to be requeued: {error!r:.80}")
        channel.basic_nack(method.delivery_tag, requeue=False)
