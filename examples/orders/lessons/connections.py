"""Lessons about connections: knowing that a message is safe, and that the other side is still there."""

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryDirectory
from threading import Event, Thread, current_thread

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, UnroutableError

from examples.orders.connection import channel_to, connect, drain, say, temporary
from examples.orders.embedded import broker
from examples.orders.services import produce, worker


def publisher_confirms(url: str, channel: BlockingChannel) -> None:
    """Publisher confirms: the broker confirms that it has the message; with mandatory, that a queue has it"""
    plain = channel.connection.channel()
    plain.basic_publish("", "no-such-queue", b"order 1")
    say("publisher", "without confirms, to a queue that does not exist: no error, and order 1 is gone")
    channel.basic_publish("", temporary(channel), b"order 2", mandatory=True)
    say("publisher", "with confirms, to a queue that exists: confirmed, order 2 is in it")
    try:
        channel.basic_publish("", "no-such-queue", b"order 3", mandatory=True)
    except UnroutableError as error:
        say("publisher", f"with confirms, to the other: Unroutable, {error.messages[0].body.decode()} came back")


def heartbeats(url: str, channel: BlockingChannel) -> None:
    """Heartbeats: the broker drops a client that is silent for two of them"""
    with connect(url, heartbeat=1) as attentive:
        busy = connect(url, heartbeat=1)
        attentive.sleep(4)
        say("attentive", f"4 s in connection.sleep(), heartbeats of 1 s answered: connected is {attentive.is_open}")
        try:
            busy.process_data_events()
        except AMQPConnectionError as error:
            say("busy", f"4 s of work in which pika was not called: cut off ({type(error).__name__})")


def reconnection(url: str, channel: BlockingChannel) -> None:
    """Reconnection: the broker (this lesson starts its own) restarts, and no message is lost"""
    ended = Event()
    with TemporaryDirectory() as place:
        with broker(place) as (_, own, _):
            shop = Thread(target=produce, args=(own, 6, 0.3), daemon=True)
            working = Thread(target=worker, args=(own, "W1", ended, 0.1), daemon=True)
            shop.start()
            working.start()
            channel.connection.sleep(1)
        say("operator", "has stopped the broker, and starts it again")
        with broker(place, pika.URLParameters(own).port):
            shop.join()
            ended.set()
            working.join()
            with channel_to(own) as new:
                say("result", f"{len(set(drain(new, 'notifications')))} of 6 orders processed")


def timeouts(url: str, channel: BlockingChannel) -> None:
    """Timeouts: they end the wait for a broker that does not answer or blocks publishers"""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        try:
            connect(f"amqp://127.0.0.1:{mute.getsockname()[1]}", stack_timeout=1)
        except AMQPConnectionError as error:
            say("client", f"a server that accepts and says nothing, stack_timeout=1: {type(error.__cause__).__name__}")
    with TemporaryDirectory() as place, broker(place) as (process, full, _):
        process.send_signal(signal.SIGUSR1)
        say("broker", "out of memory (so it is told): takes nothing from publishers until that is over")
        try:
            with channel_to(full, blocked_connection_timeout=1) as own:
                while True:
                    own.basic_publish("", "anywhere", b"order 1")
        except AMQPConnectionError as error:
            say("publisher", f"blocked_connection_timeout=1: {type(error).__name__}")


def thread_safety(url: str, channel: BlockingChannel) -> None:
    """Thread safety: a pika connection belongs to one thread; others use their own, or add_callback_threadsafe()"""
    queue = temporary(channel)

    def shop(number: int) -> None:
        with channel_to(url) as own:
            for order in range(5):
                own.basic_publish("", queue, f"order {number}-{order}".encode())

    with ThreadPoolExecutor() as threads:
        list(threads.map(shop, range(4)))
    method, _, _ = channel.basic_get(queue)
    say("shops", f"4 threads with a connection each published 5 orders each: {1 + len(drain(channel, queue))} came")

    def ack() -> None:
        channel.basic_ack(method.delivery_tag)
        say("worker", f"acks in {current_thread().name}, as another thread asked it to by add_callback_threadsafe()")

    with ThreadPoolExecutor() as threads:
        threads.submit(channel.connection.add_callback_threadsafe, ack)
    channel.connection.process_data_events(1)
