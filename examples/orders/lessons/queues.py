"""Lessons about exchanges and queues. Everything they declare is temporary or deleted."""

from itertools import takewhile
from uuid import uuid4

from pika import BasicProperties
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import NackError

from examples.orders.connection import drain, say, temporary


def headers_exchange(url: str, channel: BlockingChannel) -> None:
    """Headers exchange: routes by headers, not by routing key"""
    channel.exchange_declare("lesson.headers", "headers", auto_delete=True)
    for match in ("all", "any"):
        wanted = {"format": "pdf", "country": "ES"}
        queue = temporary(channel)
        channel.queue_bind(queue, "lesson.headers", arguments={"x-match": match, **wanted})
        for headers in (wanted, {"format": "pdf", "country": "FR"}, {"format": "xml"}):
            channel.basic_publish("lesson.headers", "", b"", BasicProperties(headers=headers))
            say(f"x-match={match}", f"{headers}: {'arrived' if drain(channel, queue) else 'not routed here'}")


def alternate_exchange(url: str, channel: BlockingChannel) -> None:
    """Alternate exchange: gets what an exchange cannot route, which is otherwise dropped"""
    known, unknown = temporary(channel), temporary(channel)
    channel.exchange_declare("lesson.unrouted", "fanout", auto_delete=True)
    channel.queue_bind(unknown, "lesson.unrouted")
    channel.exchange_declare("lesson.routed", auto_delete=True, arguments={"alternate-exchange": "lesson.unrouted"})
    channel.queue_bind(known, "lesson.routed", "order")
    for key in ("order", "odrer"):
        channel.basic_publish("lesson.routed", key, key.encode())
    say("known", f"the queue bound with order got {drain(channel, known)}")
    say("unknown", f"the queue behind the alternate exchange got {drain(channel, unknown)}")


def time_to_live(url: str, channel: BlockingChannel) -> None:
    """TTL: expired messages leave their queue, here for a dead-letter queue"""
    dlq = temporary(channel)
    queue = temporary(channel, **{"x-message-ttl": 300, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dlq})
    channel.basic_publish("", queue, b"order 1")
    channel.basic_publish("", queue, b"order 2", BasicProperties(expiration="100"))
    say("queue", "order 1 may wait 300 ms, as the queue says; order 2 100 ms, as its own expiration says")
    channel.connection.sleep(0.5)
    say("dead letters", f"{', '.join(drain(channel, dlq))}: what is not first in its queue waits on")


def priority(url: str, channel: BlockingChannel) -> None:
    """Priority queue: urgent messages overtake the others"""
    queue = temporary(channel, **{"x-max-priority": 9})
    for name, urgency in (("newsletter", 1), ("invoice", 5), ("fraud alert", 9)):
        channel.basic_publish("", queue, name.encode(), BasicProperties(priority=urgency))
        say("publisher", f"{name}, priority {urgency}")
    say("consumer", f"got {', '.join(drain(channel, queue))}")


def lazy(url: str, channel: BlockingChannel) -> None:
    """Lazy queue: its messages wait on disk, not in memory"""
    queue = temporary(channel, **{"x-queue-mode": "lazy"})
    for number in range(20):
        channel.basic_publish("", queue, str(number).encode().ljust(100_000))
    say("publisher", "20 messages of 100 KB are in a queue with x-queue-mode=lazy")
    say("broker", "RabbitMQ has them on disk only, from 3.12 on in any queue; the embedded one beyond --memory-limit")
    say("consumer", f"got {len(drain(channel, queue))}, in order")


def quorum(url: str, channel: BlockingChannel) -> None:
    """Quorum queue: replicated over the nodes of a RabbitMQ cluster, and it counts failed deliveries"""
    dead, queue = temporary(channel), f"lesson.quorum.{uuid4().hex}"
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 2, "x-dead-letter-exchange": ""}
    arguments["x-dead-letter-routing-key"] = dead
    channel.queue_declare(queue, durable=True, arguments=arguments)
    known = channel.connection._impl.server_properties  # pika's blocking connection does not expose them
    about = f"{known['product']} {known['version']}: has copies on up to 3 nodes of its cluster, by default"
    if known["platform"] == "WorkerRMQ embedded broker":
        about = "replicates on RabbitMQ only: this is the embedded one, a single process"
    say("broker", about)
    channel.basic_publish("", queue, b"poison")
    deliveries = takewhile(lambda delivery: delivery[0], channel.consume(queue, inactivity_timeout=0.5))
    for number, (method, _, _) in enumerate(deliveries, 1):
        say("worker", f"gives it back after delivery {number}; x-delivery-limit is 2")
        channel.basic_reject(method.delivery_tag, requeue=True)
    say("dead letters", f"got {drain(channel, dead)}")
    channel.queue_delete(queue)


def consumer_cancellation(url: str, channel: BlockingChannel) -> None:
    """Consumer cancellation: the broker notifies the consumers of a deleted queue"""
    channel.add_on_cancel_callback(lambda frame: say("worker", f"is told by {frame.method.NAME}, and goes on"))
    queue, other = temporary(channel), temporary(channel)
    channel.basic_consume(queue, lambda *_: None)
    channel.connection.channel().queue_delete(queue)
    say("operator", "has deleted the queue that the worker consumes from")
    channel.connection.process_data_events(1)
    channel.basic_consume(other, lambda *_: None)
    say("worker", "consumes from another queue")


def flow_control(url: str, channel: BlockingChannel) -> None:
    """Flow control: a full queue refuses messages, so that the publisher slows down"""
    queue = temporary(channel, **{"x-max-length": 3, "x-overflow": "reject-publish"})
    orders, taken = [f"order {number}".encode() for number in range(1, 11)], []
    while orders:
        try:
            channel.basic_publish("", queue, orders[0])
            del orders[0]
        except NackError:
            taken.append(channel.basic_get(queue, auto_ack=True)[2])
    say("publisher", f"10 orders through a queue of at most 3: nacked {len(taken)} times, and then it waited")
    say("consumer", f"slow, and got all {len(taken) + len(drain(channel, queue))}")
    say("broker", "one that runs out of memory stops reading from all publishers: lesson 4 shows that")
