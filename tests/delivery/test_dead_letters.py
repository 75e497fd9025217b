"""Messages that are given up: one copy where dead letters of their queue belong, and why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.registry import QueueFacts
from gateway.management import DeadLetterGateway, ManagementClient
from tests.conftest import REAL_BROKERS
from tests.delivery.running import AT_ONCE, ONE_SECOND, Consumers
from tests.support.amqp import get, publish, ready, take, wait_ready
from tests.support.management import management_nodes
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.target import Target

pytestmark = pytest.mark.versions


def facts(broker: BrokerNode, queue: str) -> QueueFacts:
    """Return the description of a queue that a worker reads before it consumes."""
    url = broker.management_url.replace("http://", "http://guest:guest@")
    return DeadLetterGateway(ManagementClient(management_nodes(url))).facts()[queue]


def test_a_message_that_fails_every_attempt_becomes_one_dead_letter_that_says_why(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"body", message_id="m-1", correlation_id="c-1")
    consumers.deliver(queue, target.url("/status/503"), retry=ONE_SECOND, name="erp")
    (letter,) = take(channel, f"{queue}.dlq", 1)
    headers = letter.headers
    assert (letter.body, letter.properties.message_id, letter.properties.correlation_id) == (b"body", "m-1", "c-1")
    assert headers["workerrmq-attempts"] == 2
    assert headers["workerrmq-outcome"] == "exhausted"
    assert headers["workerrmq-status"] == 503
    assert headers["workerrmq-reason"] == "HTTP 503"
    assert headers["workerrmq-consumer"] == "erp"
    assert (headers["workerrmq-queue"], headers["workerrmq-exchange"], headers["workerrmq-routing-key"]) == (
        queue, "", queue,
    )  # fmt: skip
    first, last = (datetime.fromisoformat(headers[f"workerrmq-{one}-failed-at"]) for one in ("first", "last"))
    assert 1 <= (last - first).total_seconds() < 60
    assert abs((datetime.now(UTC) - last).total_seconds()) < 60
    wait_until(lambda: (one := consumers.report(queue)) and (one.dead_lettered, one.in_flight) == (1, 0))
    consumers.end(5)
    assert ready(channel, queue) == ready(channel, f"{queue}.dlq") == 0
    assert target.count == 2


@pytest.mark.parametrize("status", [400, 422])
def test_a_message_that_the_target_rejects_is_a_dead_letter_at_once(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, status: int
) -> None:
    publish(channel, queue, b"body")
    consumers.deliver(queue, target.url(f"/status/{status}"))
    (letter,) = take(channel, f"{queue}.dlq", 1)
    assert (letter.headers["workerrmq-outcome"], letter.headers["workerrmq-attempts"]) == ("rejected", 1)
    assert target.count == 1


def test_a_poison_message_does_not_keep_the_others_from_their_target(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    target.answer = lambda request: 422 if request.body == b"3" else 200
    publish(channel, queue, *"12345")
    consumers.deliver(queue, target.url(), prefetch=1)
    assert [request.body for request in target.wait_for(5)] == [b"1", b"2", b"3", b"4", b"5"]
    assert [letter.body for letter in take(channel, f"{queue}.dlq", 1)] == [b"3"]


@pytest.mark.parametrize("key", [None, "dead"], ids=["own key", "key of the queue"])
def test_the_dead_letter_exchange_that_a_queue_names_gets_its_dead_letters(
    consumers: Consumers,
    channel: BlockingChannel,
    broker: BrokerNode,
    unique_name: str,
    target: Target,
    key: str | None,
) -> None:
    exchange, grave = f"{unique_name}-dlx", f"{unique_name}-grave"
    arguments = {"x-dead-letter-exchange": exchange, **({"x-dead-letter-routing-key": key} if key else {})}
    channel.exchange_declare(exchange, "direct")
    channel.queue_declare(grave)
    channel.queue_bind(grave, exchange, key or unique_name)
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    publish(channel, unique_name, b"body")
    consumers.deliver(unique_name, target.url("/status/422"), facts=facts(broker, unique_name))
    (letter,) = take(channel, grave, 1)
    assert letter.headers["workerrmq-reason"] == "HTTP 422"
    names = [one["name"] for one in broker.management.get("queues", "/").json()]
    assert f"{unique_name}.dlq" not in names


@pytest.mark.parametrize("broker", REAL_BROKERS, indirect=True)
def test_the_dead_letter_exchange_of_a_policy_gets_the_dead_letters(
    broker: RabbitNode, make_consumers: type[Consumers], unique_name: str, target: Target
) -> None:
    with broker.connect() as connection:
        channel = connection.channel()
        channel.queue_declare(unique_name, durable=True)
        channel.queue_declare("grave")
        policy = {"pattern": f"^{unique_name}$", "apply-to": "queues", "definition": {
            "dead-letter-exchange": "", "dead-letter-routing-key": "grave"}}  # fmt: skip
        assert broker.management.put("policies", "/", "to-grave", body=policy).ok
        applied = QueueFacts("classic", ("", "grave"))
        wait_until(lambda: facts(broker, unique_name) == applied)
        publish(channel, unique_name, b"body")
        consumers = make_consumers(broker.amqp_url)
        consumers.deliver(unique_name, target.url("/status/422"), facts=applied)
        (letter,) = take(channel, "grave", 1)
        assert letter.headers["workerrmq-reason"] == "HTTP 422"


@pytest.mark.parametrize("there", [True, False], ids=["routes nowhere", "does not exist"])
def test_dead_letters_are_kept_in_a_queue_of_ours_when_the_named_exchange_leads_nowhere(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, there: bool
) -> None:
    if there:
        channel.exchange_declare(f"{queue}-dlx", "direct")
    publish(channel, queue, *"123")
    lost = QueueFacts("classic", (f"{queue}-dlx", None))
    consumers.deliver(queue, target.url("/status/422"), facts=lost)
    wait_until(lambda: (one := consumers.report(queue)) and one.dead_lettered == 3)
    letters = take(channel, f"{queue}.dlq", 3)
    assert sorted(letter.body for letter in letters) == [b"1", b"2", b"3"]
    wait_until(lambda: (one := consumers.report(queue)) and one.in_flight == 0)
    assert get(channel, f"{queue}.dlq") is None


@pytest.mark.parametrize("own_key", [True, False], ids=["by the key of the queue", "by the message's own key"])
def test_dead_letters_do_not_come_back_to_their_queue_for_ever(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, own_key: bool
) -> None:
    circle = QueueFacts("classic", ("", queue if own_key else None))
    consumers.deliver(queue, target.url("/status/422"), facts=circle)
    publish(channel, queue, *"123")
    wait_until(lambda: (one := consumers.report(queue)) and (one.dead_lettered, one.in_flight) == (3, 0))
    assert sorted(letter.body for letter in take(channel, f"{queue}.dlq", 3)) == [b"1", b"2", b"3"]
    assert (target.count, ready(channel, queue)) == (3, 0)


def test_a_dead_letter_queue_that_somebody_declared_otherwise_is_used_as_it_is(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    channel.queue_declare(f"{queue}.dlq", durable=False, arguments={"x-max-length": 10})
    publish(channel, queue, b"body")
    consumers.deliver(queue, target.url("/status/500"), retry=AT_ONCE)
    wait_ready(channel, f"{queue}.dlq", 1)


def test_a_quorum_queue_has_a_quorum_dead_letter_queue(
    consumers: Consumers, channel: BlockingChannel, broker: BrokerNode, unique_name: str, target: Target
) -> None:
    channel.queue_declare(unique_name, durable=True, arguments={"x-queue-type": "quorum"})
    publish(channel, unique_name, b"body")
    consumers.deliver(unique_name, target.url("/status/422"), facts=facts(broker, unique_name))
    wait_ready(channel, f"{unique_name}.dlq", 1)
    found = broker.management.get("queues", "/", f"{unique_name}.dlq").json()
    assert found["arguments"].get("x-queue-type") == "quorum"
