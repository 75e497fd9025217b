"""Survival of definitions and messages after a clean restart and a kill."""

from __future__ import annotations

from collections.abc import Callable

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import bodies, publish, publish_confirmed, ready, refused, take, wait_ready
from tests.support.embedded import EmbeddedNode
from tests.support.node import BrokerNode

pytestmark = pytest.mark.timeout(180)
Connect = Callable[..., pika.BlockingConnection]
PERSISTENT = 2


def cleanly(broker: BrokerNode) -> None:
    broker.restart()


def by_kill(broker: BrokerNode) -> None:
    broker.kill()
    broker.start()


@pytest.mark.parametrize("restart", [cleanly, by_kill])
def test_only_durable_entities_survive_a_restart(
    broker: BrokerNode, connect: Connect, restart: Callable[[BrokerNode], None]
) -> None:
    channel = connect().channel()
    prepare_queues(channel)
    prepare_dead_letter(channel)
    prepare_user(broker)
    restart(broker)
    check_queues(connect)
    if restart is by_kill and broker.name != "embedded":
        return  # RabbitMQ neither confirms dead letters of classic queues nor waits for users to be on disk
    letter = take(connect().channel(), "dead", 1)[0]
    assert letter.headers["x-death"][0]["queue"] == "deadly"
    theirs = connect(virtual_host="kept", credentials=pika.PlainCredentials("kept", "secret")).channel()
    theirs.queue_declare("works")


def prepare_queues(channel: BlockingChannel) -> None:
    channel.queue_declare("kept", durable=True, arguments={"x-max-length": 100})
    channel.queue_declare("transient")
    channel.exchange_declare("kept-x", "topic", durable=True)
    channel.exchange_declare("transient-x", "topic")
    channel.queue_bind("kept", "kept-x", "a.*")
    channel.queue_bind("kept", "kept-x", "unbound")
    channel.queue_unbind("kept", "kept-x", "unbound")
    publish_confirmed(channel, "kept", *"123", delivery_mode=PERSISTENT, headers={"n": 1})
    publish_confirmed(channel, "kept", "not persistent")
    publish_confirmed(channel, "kept", "brief", delivery_mode=PERSISTENT, expiration="300")
    for name in ("deleted", "purged"):
        channel.queue_declare(name, durable=True)
        publish_confirmed(channel, name, "x", delivery_mode=PERSISTENT)
    channel.queue_delete("deleted")
    channel.queue_purge("purged")


def check_queues(connect: Connect) -> None:
    channel = connect().channel()
    channel.queue_declare("kept", durable=True, arguments={"x-max-length": 100})
    found = take(channel, "kept", 3)
    assert bodies(found) == ["1", "2", "3"]
    assert found[0].headers == {"n": 1}
    wait_ready(channel, "kept", 0)
    publish_by(channel, "unbound")
    publish_by(channel, "a.b")
    assert bodies(take(channel, "kept", 1)) == ["a.b"]
    assert ready(channel, "purged") == 0
    for name in ("transient", "deleted"):
        with refused(404):
            connect().channel().queue_declare(name, passive=True)
    with refused(404):
        connect().channel().exchange_declare("transient-x", passive=True)


def publish_by(channel: BlockingChannel, key: str) -> None:
    channel.basic_publish("kept-x", key, key.encode())


def prepare_dead_letter(channel: BlockingChannel) -> None:
    channel.queue_declare("dead", durable=True)
    rules = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    channel.queue_declare("deadly", durable=True, arguments=rules)
    publish_confirmed(channel, "deadly", "x", delivery_mode=PERSISTENT)
    channel.basic_reject(take(channel, "deadly", 1, auto_ack=False)[0].tag, requeue=False)
    wait_ready(channel, "dead", 1)


def prepare_user(broker: BrokerNode) -> None:
    broker.management.put("vhosts", "kept")
    broker.management.put("users", "kept", body={"password": "secret", "tags": ""})
    broker.management.put("permissions", "kept", "kept", body={"configure": ".*", "write": ".*", "read": ".*"})


def test_an_acked_message_stays_gone_after_a_kill(embedded: EmbeddedNode) -> None:
    """RabbitMQ promises less: it may redeliver a message whose ack it had not written."""
    channel = embedded.connect().channel()
    channel.queue_declare("ledger", durable=True)
    publish_confirmed(channel, "ledger", *map(str, range(20)), delivery_mode=PERSISTENT)
    for message in take(channel, "ledger", 10, auto_ack=False)[::2]:
        channel.basic_ack(message.tag)
    publish(channel, "ledger", "committed after the acks", delivery_mode=PERSISTENT)
    by_kill(embedded)
    channel = embedded.connect().channel()
    left = bodies(take(channel, "ledger", 16))
    assert left == ["1", "3", "5", "7", "9", *map(str, range(10, 20)), "committed after the acks"]
    channel.connection.close()


def test_a_clean_stop_closes_connections_with_a_reason(broker: BrokerNode, channel: BlockingChannel) -> None:
    broker.stop()
    with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
        channel.connection.process_data_events(10)
    assert closed.value.reply_code == 320
    assert "CONNECTION_FORCED" in closed.value.reply_text
