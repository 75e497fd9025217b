"""All services in one process, each with a thread and a connection, and ten orders."""

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from threading import Event

from examples.orders.connection import channel_to, heading, say
from examples.orders.services import analytics, logs, notification, produce, rpc_client, rpc_server, worker
from examples.orders.topology import QUEUES, declare


def demo(url: str) -> None:
    """Run all services in this terminal and send ten orders through them."""
    heading("Exchanges, queues, bindings: durable, as are the messages, so that they survive a restart of the broker")
    with channel_to(url) as channel:
        declare(channel)
        for queue, (exchange, key, why) in QUEUES.items():
            say(queue, f"<- {exchange or 'the default exchange'} {f'[{key}] ' if key else ''}({why})")
    served, worked = Event(), Event()
    with ThreadPoolExecutor(6) as threads, ExitStack() as in_the_end:
        in_the_end.callback(served.set)
        in_the_end.callback(worked.set)
        for service in (rpc_server, notification, analytics, logs):
            threads.submit(service, url, served)
        heading("RPC: a question goes to a queue; the answer comes to the asker's own, told by its correlation_id")
        rpc_client(url)
        heading("Ten orders, two workers with one order at a time (prefetch 1): W1 is fast, and does more than W2")
        workers = [threads.submit(worker, url, name, worked, pace) for name, pace in (("W1", 0.1), ("W2", 0.4))]
        produce(url)
        worked.set()
        wait(workers)
    heading("What failed went by the dead-letter exchange to the queue orders.failed, and waits there to be looked at")
    with channel_to(url) as channel:
        for _, properties, body in iter(lambda: channel.basic_get("orders.failed"), (None, None, None)):
            death = properties.headers["x-death"][0]
            say("orders.failed", f"{body.decode()}: {death['reason']} from queue {death['queue']}")
