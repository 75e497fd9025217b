"""The services for orders: the shop that publishes them, workers, listeners, and the stock (RPC)."""

import time
from collections import Counter
from itertools import cycle, islice
from threading import Event
from typing import Any
from uuid import uuid4

from pika.adapters.blocking_connection import BlockingChannel

from examples.orders.connection import NEVER, channel_to, consume, publish, say, surviving, temporary
from examples.orders.topology import EVENTS, LOGS, ORDERS, declare

STOCK = {"keyboard": 12, "mouse": 40, "monitor": 0, "cable": 200, "headset": 7}


def produce(url: str, count: int = 10, pause: float = 0) -> None:
    """Publish ten orders. The last has an expired card, so that it fails."""
    batch = uuid4().hex[:4]
    orders = [
        {"order": f"{batch}-{n}", "item": item, "quantity": n % 3 + 1, "card": "valid" if n % 10 else "expired"}
        for n, item in enumerate(islice(cycle(STOCK), count), 1)
    ]

    def send(channel: BlockingChannel) -> None:
        while orders:
            publish(channel, ORDERS, "order", orders[0])
            order = orders.pop(0)  # an unconfirmed order is sent again
            say("shop", f"order {order['order']}, {order['quantity']} x {order['item']} -> {ORDERS} [order] -> orders")
            publish(channel, LOGS, "order.created", order)
            time.sleep(pause)

    surviving(url, "shop", send)


def worker(url: str, name: str = "W1", ended: Event = NEVER, seconds: float = 0.5) -> None:
    """Process orders, one at a time: publish an event and a log entry for each, then ack or nack (default ID: W1)."""

    def process(channel: Any, method: Any, properties: Any, order: dict[str, Any]) -> None:
        say(name, f"takes {order['order']}{', which another worker left' if method.redelivered else ''}")
        time.sleep(seconds)
        if order["card"] == "expired":
            publish(channel, LOGS, "order.failed", order)
            raise ValueError(f"{order['order']}: card expired")
        publish(channel, EVENTS, "", order)
        publish(channel, LOGS, "order.completed", order)
        say(name, f"ack {order['order']}; event -> {EVENTS}, log order.completed -> {LOGS}")

    consume(url, name, "orders", process, ended)


def notification(url: str, ended: Event = NEVER) -> None:
    """Tell customers (fanout)."""

    def notify(channel: Any, method: Any, properties: Any, order: dict[str, Any]) -> None:
        say("notification", f"to the customer: your {order['item']} is on its way ({order['order']})")

    consume(url, "notification", "notifications", notify, ended)


def analytics(url: str, ended: Event = NEVER) -> None:
    """Count what is sold (fanout)."""
    sold: Counter[str] = Counter()

    def count(channel: Any, method: Any, properties: Any, order: dict[str, Any]) -> None:
        sold[order["item"]] += order["quantity"]
        say("analytics", f"sold so far: {', '.join(f'{number} x {item}' for item, number in sold.items())}")

    consume(url, "analytics", "analytics", count, ended)


def logs(url: str, ended: Event = NEVER) -> None:
    """Print what happens to orders: the log entries whose key matches order.# (topic)."""

    def log(channel: Any, method: Any, properties: Any, order: dict[str, Any]) -> None:
        say("logs", f"{method.routing_key} {order['order']} (the key matches order.#)")

    consume(url, "logs", "logs", log, ended)


def rpc_server(url: str, ended: Event = NEVER) -> None:
    """Answer the stock of an item to the queue in reply_to, with the request's correlation_id."""

    def answer(channel: Any, method: Any, properties: Any, request: dict[str, Any]) -> None:
        if not properties.reply_to:
            raise ValueError("nobody to answer: no reply_to")
        stock = STOCK.get(request["item"])
        publish(channel, "", properties.reply_to, {"stock": stock}, correlation_id=properties.correlation_id)
        say("rpc-server", f"{request['item']}: {stock} -> reply_to {properties.reply_to}")

    consume(url, "rpc-server", "rpc.inventory", answer, ended)


def rpc_client(url: str) -> None:
    """Ask for the stock of three items and wait for each answer. Raises TimeoutError without one."""
    with channel_to(url) as channel:
        declare(channel)
        replies = temporary(channel)
        for item in ("keyboard", "monitor", "unicorn"):
            asked = uuid4().hex
            say("rpc-client", f"how many {item}? -> queue rpc.inventory, correlation_id {asked[:8]}; waits")
            request = {"reply_to": replies, "correlation_id": asked, "expiration": "5000"}
            publish(channel, "", "rpc.inventory", {"item": item}, **request)
            for _, properties, body in channel.consume(replies, auto_ack=True, inactivity_timeout=5):
                if properties is None:
                    raise TimeoutError("Nobody answered in 5 s: start `python -m examples.orders rpc-server`.")
                if properties.correlation_id == asked:
                    say("rpc-client", f"answer to {asked[:8]}: {body.decode()}")
                    break
