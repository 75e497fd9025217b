"""Setting policies and their effects (RabbitMQ docs: parameters § policies)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import bodies, publish, publish_confirmed, ready, take, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until

Connect = Callable[..., pika.BlockingConnection]


def put(broker: BrokerNode, name: str, pattern: str, definition: Any, status: int = 201, **more: Any) -> str:
    """Set a policy. Return the reason of a refusal."""
    body = {"pattern": pattern, "definition": definition, **{key.replace("_", "-"): more[key] for key in more}}
    answer = broker.management.put("policies", "/", name, body=body)
    assert answer.status_code == status, answer.text
    return str(answer.json()["reason"]) if answer.text else ""


def wait_policy(broker: BrokerNode, queue: str, name: str | None) -> None:
    """Wait until the policy of that name applies to the queue."""
    path = ("queues", "/", queue)
    wait_until(lambda: broker.management.get(*path).json().get("policy", "none yet") == name, 15, "the policy")


def test_a_policy_is_listed_changed_and_deleted(broker: BrokerNode) -> None:
    put(broker, "p", "^a", {"max-length": 5}, priority=3, apply_to="queues")
    shown = {"vhost": "/", "name": "p", "pattern": "^a", "apply-to": "queues", "definition": {"max-length": 5},
             "priority": 3}  # fmt: skip
    assert broker.management.get("policies", "/", "p").json() == shown
    assert broker.management.get("policies", "/").json() == [shown]
    assert broker.management.get("policies").json() == [shown]
    assert broker.management.get("definitions").json()["policies"] == [shown]
    put(broker, "p", "^b", {"max-length": 5}, 204)
    assert broker.management.get("policies", "/", "p").json()["apply-to"] == "all"
    assert broker.management.delete("policies", "/", "p").status_code == 204
    assert broker.management.get("policies", "/", "p").status_code == 404
    assert broker.management.delete("policies", "/", "p").status_code == 404


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ({}, "no policy provided"),
        ({"bogus": 5}, '[{&lt;&lt;"bogus"&gt;&gt;,5}] are not recognised policy settings'),
        ({"max-length": "x"}, '&lt;&lt;"x"&gt;&gt; is not a valid maximum length'),
        ({"max-length": -1}, "-1 is not a valid maximum length"),
        ({"max-length-bytes": -1}, "-1 is not a valid maximum length in bytes"),
        ({"message-ttl": -1}, "-1 is not a valid message TTL"),
        ({"expires": 0}, "0 is not a valid queue expiry"),
        ({"overflow": "x"}, '&lt;&lt;"x"&gt;&gt; is not a valid overflow value'),
        ({"dead-letter-exchange": 5}, "5 is not a valid dead letter exchange name"),
        ({"dead-letter-routing-key": 5}, "5 is not a valid dead letter routing key"),
        ({"dead-letter-strategy": "x"}, '&lt;&lt;"x"&gt;&gt; is not a valid dead letter strategy'),
        ({"alternate-exchange": 5}, "5 is not a valid alternate exchange name"),
        ({"delivery-limit": -1}, "-1 is not a valid delivery limit"),
    ],
)
def test_an_invalid_definition_is_refused(broker: BrokerNode, definition: Any, reason: str) -> None:
    assert put(broker, "p", "^a", definition, 400) == f"Validation failed\n\n{reason}\n"
    assert broker.management.get("policies", "/", "p").status_code == 404


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"apply-to": "bogus"}, "apply-to 'bogus' unrecognised; should be 'queues', 'exchanges' or 'all'"),
        ({"priority": "x"}, 'priority should be a number, actually was &lt;&lt;"x"&gt;&gt;'),
        ({"pattern": 5}, "pattern should be a binary but was 5"),
        ({"pattern": "("}, "pattern should be regular expression but is invalid"),
    ],
)
def test_an_invalid_policy_is_refused(broker: BrokerNode, change: dict[str, Any], reason: str) -> None:
    body = {"pattern": "^a", "definition": {"max-length": 5}} | change
    answer = broker.management.put("policies", "/", "p", body=body)
    assert answer.status_code == 400
    assert answer.json()["reason"].startswith(f"Validation failed\n\n{reason}")


def test_a_policy_limits_a_queue_that_exceeds_the_limit_already(
    broker: BrokerNode, channel: BlockingChannel, queue: str
) -> None:
    dead = f"dead-{queue}"
    channel.queue_declare(dead)
    publish_confirmed(channel, queue, *"12345")
    put(broker, "p", f"^{queue}", {"max-length": 2, "dead-letter-exchange": "", "dead-letter-routing-key": dead})
    wait_ready(channel, queue, 2)
    assert bodies(take(channel, dead, 3)) == ["1", "2", "3"]
    wait_policy(broker, queue, "p")
    assert broker.management.get("queues", "/", queue).json()["effective_policy_definition"]["max-length"] == 2
    broker.management.delete("policies", "/", "p")
    wait_policy(broker, queue, None)
    publish_confirmed(channel, queue, *"678")
    assert ready(channel, queue) == 5


def test_a_policy_applies_to_later_declarations_that_match(
    broker: BrokerNode, channel: BlockingChannel, unique_name: str
) -> None:
    put(broker, "p", f"^{unique_name}-limited", {"max-length": 1})
    for name in (f"{unique_name}-limited", f"{unique_name}-free"):
        channel.queue_declare(name)
        publish_confirmed(channel, name, *"123")
    assert ready(channel, f"{unique_name}-limited") == 1
    assert ready(channel, f"{unique_name}-free") == 3


def test_the_policy_with_the_highest_priority_applies_alone(
    broker: BrokerNode, channel: BlockingChannel, queue: str
) -> None:
    put(broker, "low", f"^{queue}", {"max-length": 1, "message-ttl": 60_000})
    put(broker, "high", f"^{queue}", {"message-ttl": 60_000}, priority=7)
    wait_policy(broker, queue, "high")
    publish_confirmed(channel, queue, *"123")
    assert ready(channel, queue) == 3


@pytest.mark.parametrize(("own", "in_policy"), [(1, 4), (4, 1)])
def test_the_smaller_limit_applies(
    broker: BrokerNode, channel: BlockingChannel, unique_name: str, own: int, in_policy: int
) -> None:
    put(broker, "p", f"^{unique_name}", {"max-length": in_policy})
    channel.queue_declare(unique_name, arguments={"x-max-length": own})
    publish_confirmed(channel, unique_name, *"123456")
    assert ready(channel, unique_name) == 1


def test_a_queues_own_dead_letter_exchange_takes_precedence(
    broker: BrokerNode, channel: BlockingChannel, unique_name: str
) -> None:
    dead = [f"dead-{number}-{unique_name}" for number in range(2)]
    for name in dead:
        channel.queue_declare(name)
    put(broker, "p", f"^{unique_name}", {"dead-letter-routing-key": dead[1], "message-ttl": 50})
    own = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead[0]}
    channel.queue_declare(unique_name, arguments=own)
    publish(channel, unique_name, "x")
    assert bodies(take(channel, dead[0], 1)) == ["x"]


def test_a_policy_makes_messages_and_queues_expire(broker: BrokerNode, channel: BlockingChannel, queue: str) -> None:
    put(broker, "p", f"^{queue}", {"message-ttl": 100})
    wait_policy(broker, queue, "p")
    publish(channel, queue, "x")
    wait_ready(channel, queue, 0)
    put(broker, "p", f"^{queue}", {"expires": 300}, 204)
    wait_until(lambda: broker.management.get("queues", "/", queue).status_code == 404, 15, "the queue expiring")


def test_a_policy_sets_an_alternate_exchange(broker: BrokerNode, channel: BlockingChannel, queue: str) -> None:
    name = f"x-{queue}"
    channel.exchange_declare(name, "direct")
    channel.queue_bind(queue, "amq.fanout")
    put(broker, "p", f"^{name}", {"alternate-exchange": "amq.fanout"}, apply_to="exchanges")

    def routed() -> bool:
        channel.basic_publish(name, "nowhere", b"x")
        return ready(channel, queue) > 0

    wait_until(routed, 20, "the alternate exchange")
    channel.queue_unbind(queue, "amq.fanout")


def test_a_policy_survives_a_restart(embedded: BrokerNode) -> None:
    channel = embedded.connect().channel()
    channel.queue_declare("kept", durable=True)
    put(embedded, "p", "^kept", {"max-length": 1})
    embedded.kill()
    embedded.start()
    channel = embedded.connect().channel()
    publish_confirmed(channel, "kept", *"123")
    assert ready(channel, "kept") == 1
