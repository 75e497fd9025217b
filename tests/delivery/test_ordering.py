"""Order: of a whole queue, or of the messages with one key, through failures, crashes and takeovers."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from domain.registry import QueueFacts
from tests.conftest import REAL_BROKERS
from tests.delivery.running import Consumers
from tests.support.amqp import publish, ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.target import Target
from tests.support.target_http import Request

SOON = {"schedule": (1, 1), "jitter": 0}
BY_HEADER = {"header": "x-key"}


def fail_first(*failing: str) -> Callable[[Request], int]:
    """Answers 500 to the first request of these ids, 200 to all others."""
    seen: set[str] = set()

    def answer(request: Request) -> int:
        first = request.id not in seen
        seen.add(request.id)
        return 500 if first and request.id in failing else 200

    return answer


def publish_numbered(channel: BlockingChannel, queue: str, count: int, keys: Sequence[str] = ("",)) -> None:
    for n in range(count):
        key = keys[n % len(keys)]
        body = json.dumps({"customer": {"id": key}, "n": n})
        publish(channel, queue, body, message_id=f"{n:03}", headers={"x-key": key})


def delivered_order(target: Target) -> list[str]:
    """Ids in the order of their first request that was answered 2xx, as the target saw them."""
    return [request.id for request in target.requests]


def test_a_failing_message_holds_back_the_rest_of_an_ordered_queue(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    target.answer = fail_first("003")
    publish_numbered(channel, queue, 8)
    consumers.deliver(queue, target.url(), ordering="queue", retry=SOON)
    wait_until(lambda: len(target.delivered()) == 8)
    order = delivered_order(target)
    assert order == ["000", "001", "002", "003", "003", "004", "005", "006", "007"]
    again = target.requests[order.index("003") + 1]
    assert again.headers["x-delivery-attempt"] == "2"
    consumers.end(5)
    assert ready(channel, queue) == 0


@pytest.mark.parametrize("ordering", [BY_HEADER, {"jsonPath": "customer.id"}])
def test_messages_of_one_key_keep_their_order_while_other_keys_go_on(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, ordering: dict[str, str]
) -> None:
    target.answer = fail_first("000", "003")
    publish_numbered(channel, queue, 12, keys=("a", "b", "c"))
    consumers.deliver(queue, target.url(), ordering=ordering, retry=SOON)
    wait_until(lambda: len(target.delivered()) == 12)
    order = delivered_order(target)
    by_key: dict[int, list[str]] = defaultdict(list)
    for one in order:
        by_key[int(one) % 3].append(one)
    assert by_key[0] == ["000", "000", "003", "003", "006", "009"]
    assert by_key[1] == ["001", "004", "007", "010"]
    assert order.index("010") < order.index("003"), "key b waited for key a"


def test_a_body_nested_deeper_than_a_stack_is_delivered_like_any_other(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b'{"key": %s1%s}' % (b"[" * 1020, b"]" * 1020), b'{"key": 1}')
    consumers.deliver(queue, target.url(), ordering={"jsonPath": "key"})
    target.wait_for(2)


def test_an_ordered_message_that_never_succeeds_is_dead_lettered_and_the_next_one_goes(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    target.answer = lambda request: 500 if request.id == "001" else 200
    publish_numbered(channel, queue, 4)
    consumers.deliver(queue, target.url(), ordering="queue", retry=SOON)
    wait_until(lambda: len(target.delivered()) == 3)
    assert delivered_order(target) == ["000", "001", "001", "001", "002", "003"]
    wait_until(lambda: ready(channel, f"{queue}.dlq") == 1)
    _, properties, _ = channel.basic_get(f"{queue}.dlq", auto_ack=True)
    assert properties.headers["workerrmq-attempts"] == 3
    assert properties.headers["workerrmq-first-failed-at"] < properties.headers["workerrmq-last-failed-at"]


@pytest.mark.parametrize("single_active", [False, True])
def test_one_worker_at_a_time_has_an_ordered_queue_and_another_takes_over_in_order(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, unique_name: str, target: Target,
    single_active: bool,
) -> None:  # fmt: skip
    channel.queue_declare(unique_name, durable=True, arguments={"x-single-active-consumer": single_active})
    facts = QueueFacts(single_active=single_active)
    first, second = make_consumers(), make_consumers()
    first.run(unique_name, target.url("/hold"), ordering="queue", facts=facts)
    first.wait(unique_name, "running")
    second.run(unique_name, target.url("/ok"), ordering="queue", facts=facts)
    second.wait(unique_name, "running" if single_active else "standby")
    publish_numbered(channel, unique_name, 6)
    wait_until(lambda: target.held == 1)
    first.thread.stop(10)
    first.wait(unique_name, "draining")
    wait_until(lambda: target.held == 1 and not second.report(unique_name).delivered)  # type: ignore[union-attr]
    target.release()
    wait_until(lambda: len(target.delivered()) == 6, 20)
    assert delivered_order(target) == ["000", "001", "002", "003", "004", "005"]
    assert max(target.delivered().values()) == 1


def test_order_survives_the_loss_of_the_connection_with_messages_waiting(
    consumers: Consumers, broker: BrokerNode, channel: BlockingChannel, queue: str, target: Target
) -> None:
    target.answer = fail_first("000", "001", "002")
    publish_numbered(channel, queue, 9, keys=("a", "b", "c"))
    consumers.deliver(queue, target.url(), ordering=BY_HEADER, retry={"schedule": (3,), "jitter": 0})
    target.wait_for(3)
    broker.close_connections()
    wait_until(lambda: len(target.delivered()) == 9, 30)
    order = delivered_order(target)
    for key in range(3):
        first_seen = list(dict.fromkeys(one for one in order if int(one) % 3 == key))
        assert first_seen == sorted(first_seen)
    with broker.connect() as connection:
        wait_until(lambda: ready(connection.channel(), queue) == 0)


def test_an_ordered_consumer_with_a_wrong_url_gives_its_messages_back_in_order(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish_numbered(channel, queue, 5)
    consumers.run(queue, target.url("/status/410"), ordering="queue")
    consumers.wait(queue, "suspended")
    wait_until(lambda: ready(channel, queue) == 5)
    assert target.count == 1
    consumers.run(queue, target.url("/ok"), ordering="queue")
    wait_until(lambda: len(target.delivered()) == 5)
    assert delivered_order(target) == ["000", "000", "001", "002", "003", "004"]


@pytest.mark.parametrize("ordering", ["queue", BY_HEADER])
def test_a_change_of_prefetch_lets_nothing_overtake_what_is_in_flight(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, ordering: Any
) -> None:
    publish_numbered(channel, queue, 4)
    consumers.deliver(queue, target.url("/hold"), ordering=ordering, prefetch=2)
    wait_until(lambda: target.held == 1)
    consumers.run(queue, target.url("/ok"), ordering=ordering, prefetch=8)
    consumers.wait(queue, "running", revision=2)
    assert target.count == 1
    target.release()
    wait_until(lambda: len(target.delivered()) == 4)
    assert delivered_order(target) == ["000", "001", "002", "003"]


def test_a_message_that_the_old_target_refuses_goes_to_the_new_target_in_order(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish_numbered(channel, queue, 4)
    consumers.deliver(queue, target.url("/hold"), ordering="queue")
    wait_until(lambda: target.held == 1)
    consumers.run(queue, target.url("/ok"), ordering="queue")
    consumers.wait(queue, "running", revision=2)
    target.release(404)
    wait_until(lambda: len(target.delivered()) == 4)
    assert delivered_order(target) == ["000", "000", "001", "002", "003"]


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)  # which tells at once who consumes
def test_a_message_that_waits_for_long_is_given_back_and_taken_again_before_the_broker_minds(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, broker: BrokerNode, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(held=0.5))

    def tags() -> set[str]:
        found = broker.management.get("consumers").json()
        return {one["consumer_tag"] for one in found if one["queue"]["name"] == queue}

    target.answer = fail_first("m-1")
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url(), ordering="queue", retry={"schedule": (3,), "jitter": 0})
    target.wait_for(1)
    before = wait_until(tags)
    first, second = target.wait_for(2)
    wait_until(lambda: (after := tags()) and after.isdisjoint(before), 20, "another consumer than before")
    assert second.when - first.when >= 3
    assert second.headers["x-delivery-attempt"] == "2"


@pytest.mark.parametrize("broker", REAL_BROKERS, indirect=True)
def test_a_backoff_beyond_the_brokers_consumer_timeout_is_survived_in_order(
    broker: RabbitNode, unique_name: str, target: Target
) -> None:
    target.answer = lambda request: 500 if request.body == b"first" and len(target.requests) < 3 else 200
    broker.set_consumer_timeout(1.5)
    consumers = Consumers(broker.amqp_url)
    try:
        with broker.connect() as connection:
            channel = connection.channel()
            channel.queue_declare(unique_name, durable=True)
            publish(channel, unique_name, "first", "second", "third")  # without ids
            consumers.deliver(unique_name, target.url(), ordering="queue", retry={"schedule": (4, 1), "jitter": 0})
            requests = target.wait_for(5, 30)
            wait_until(lambda: ready(channel, unique_name) == 0)
    finally:
        consumers.end()
        broker.set_consumer_timeout(None)
    assert [request.body for request in requests] == [b"first", b"first", b"first", b"second", b"third"]
    assert [request.headers["x-delivery-attempt"] for request in requests[:3]] == ["1", "2", "3"]
    assert len({request.id for request in requests}) == 3
    assert requests[1].when - requests[0].when >= 4
    assert "delivery acknowledgement on channel" in broker.process.output()
