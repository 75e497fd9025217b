"""The demo's exchanges, queues and bindings, all durable. Redeclaring them changes nothing."""

from pika.adapters.blocking_connection import BlockingChannel

ORDERS, EVENTS, LOGS, FAILED = "orders.direct", "events.fanout", "logs.topic", "orders.dlx"
EXCHANGES = {ORDERS: "direct", EVENTS: "fanout", LOGS: "topic", FAILED: "fanout"}
QUEUES = {  # queue: (exchange, binding key, comment); the default exchange needs no binding
    "orders": (ORDERS, "order", "direct: the routing key must be exactly that"),
    "notifications": (EVENTS, "", "fanout: every queue gets every event"),
    "analytics": (EVENTS, "", "fanout: every queue gets every event"),
    "logs": (LOGS, "order.#", "topic: order. and any words"),
    "orders.failed": (FAILED, "", "dead letters of the queue orders"),
    "rpc.inventory": ("", "", "requests; replies go to the queue that reply_to names"),
}


def declare(channel: BlockingChannel) -> None:
    """Declare everything. Raises pika's ChannelClosedByBroker if an existing queue or exchange differs."""
    for exchange, kind in EXCHANGES.items():
        channel.exchange_declare(exchange, kind, durable=True)
    for queue, (exchange, key, _) in QUEUES.items():
        arguments = {"x-dead-letter-exchange": FAILED} if queue == "orders" else None
        channel.queue_declare(queue, durable=True, arguments=arguments)
        if exchange:
            channel.queue_bind(queue, exchange, key)
