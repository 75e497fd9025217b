"""A target that asks for a pause (429, or 503 with Retry-After) gets it, from all its consumers, and costs nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.registry import QueueFacts
from tests.delivery.running import AT_ONCE, Consumers
from tests.support.amqp import publish, ready, take
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.target_http import Request

pytestmark = pytest.mark.broker_independent


def throttle_until(end: float, status: int = 429) -> Callable[[Request], int]:
    return lambda _request: status if time.monotonic() < end else 200


@pytest.mark.parametrize("ordering", ["none", "queue"])
@pytest.mark.parametrize("status", [429, 503])
def test_the_next_attempt_is_never_earlier_than_the_target_asks_for_and_none_is_charged(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, status: int, ordering: str
) -> None:
    publish(channel, queue, b"body", message_id="m-1")
    url = target.url(f"/retry-after?seconds=2&status={status}&times=2")
    consumers.deliver(queue, url, retry=AT_ONCE, ordering=ordering)
    requests = target.wait_for(3, timeout=20)
    assert all(later.when - earlier.when >= 2 for earlier, later in pairwise(requests))
    assert [request.headers["x-delivery-attempt"] for request in requests] == ["1"] * 3
    report = wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1 and one)
    assert (report.retried, report.dead_lettered, report.requeued) == (0, 0, 2)


def test_a_target_that_throttles_for_longer_than_the_schedule_gets_every_message_in_the_end(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    target.answer = throttle_until(time.monotonic() + 6)
    publish(channel, queue, *map(str, range(50)))
    consumers.deliver(queue, target.url(), retry={"schedule": (1,), "jitter": 0}, prefetch=5)
    consumers.wait(queue, "throttled")
    wait_until(lambda: sum(target.delivered().values()) == 50, 30)
    assert ready(channel, f"{queue}.dlq") == 0
    assert target.count <= 50 + 5 + 5  # the first ones, and a probe after 1, 2 and 4 s


def test_all_consumers_of_the_target_pause_and_those_of_others_do_not(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    second, third = f"{queue}-2", f"{queue}-3"
    with Target() as other:
        for name in (second, third):
            channel.queue_declare(name, durable=True)
        consumers.deliver(second, target.url("/ok"), breaker={"failures": 3})  # another policy, so another breaker
        consumers.deliver(third, other.url("/ok"))
        publish(channel, queue, b"body", message_id="m-1")
        consumers.deliver(queue, target.url("/retry-after?seconds=3&status=429&times=1"))
        report = consumers.wait(second, "throttled")
        assert target.base in (report.reason or "")
        publish(channel, second, b"waits")
        publish(channel, third, b"goes")
        other.wait_for(1)
        first, *others = target.wait_for(3, timeout=15)
        assert all(one.when - first.when >= 3 for one in others)


@pytest.mark.parametrize("ordering", ["none", "queue"])
@pytest.mark.parametrize("dated", [True, False], ids=["by timestamp", "by first failure"])
def test_give_up_after_bounds_what_throttling_costs(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, ordering: str, dated: bool
) -> None:
    target.answer = 429
    publish(channel, queue, b"body", message_id="m-1", timestamp=int(time.time()) if dated else None)
    consumers.deliver(queue, target.url(), ordering=ordering, retry={"giveUpAfter": 3})
    (letter,) = take(channel, f"{queue}.dlq", 1, timeout=20)
    assert letter.properties.message_id == "m-1"
    assert letter.headers["workerrmq-outcome"] == "expired"
    first, *_, last = target.requests
    assert last.when - first.when >= 2


def test_a_message_that_is_older_than_give_up_after_is_not_retried_either(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"old", message_id="m-1", timestamp=int(time.time()) - 60)
    publish(channel, queue, b"new", message_id="m-2", timestamp=int(time.time()))
    publish(channel, queue, b"in milliseconds", message_id="m-3", timestamp=int(time.time() - 60) * 1000)
    consumers.deliver(queue, target.url("/status/500?times=1"), retry={"schedule": (1,), "giveUpAfter": 30})
    (letter,) = take(channel, f"{queue}.dlq", 1)
    assert letter.body == b"old"
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.dead_lettered) == (2, 1))


@pytest.mark.parametrize("ordering", ["none", "queue"])
def test_a_message_that_fails_for_too_long_expires_after_a_last_attempt_at_that_time(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, ordering: str
) -> None:
    publish(channel, queue, b"body", message_id="m-1")
    policy = {"schedule": (1, 3600), "jitter": 0, "giveUpAfter": 3}
    consumers.deliver(queue, target.url("/status/500"), ordering=ordering, retry=policy)
    (letter,) = take(channel, f"{queue}.dlq", 1, timeout=20)
    assert (letter.headers["workerrmq-outcome"], letter.headers["workerrmq-attempts"]) == ("expired", 3)
    first, _, last = target.requests
    assert last.when - first.when >= 3
    results = [attempt.result for attempt in consumers.thread.take_attempts()]
    assert results == ["retried", "retried", "expired"]


def test_a_replayed_message_is_as_young_as_its_replay(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    now = datetime.now(UTC)
    publish(channel, queue, b"body", timestamp=1_000_000, headers={"x-replayed-at": now.isoformat()})
    retry = {"schedule": (1,), "giveUpAfter": 30}
    consumers.deliver(queue, target.url("/status/500?times=1"), retry=retry)
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1, 20)


@pytest.mark.versions
def test_pauses_do_not_use_up_the_delivery_limit_of_a_quorum_queue(
    consumers: Consumers, channel: BlockingChannel, unique_name: str, target: Target
) -> None:
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 2}
    channel.queue_declare(unique_name, durable=True, arguments=arguments)
    publish(channel, unique_name, *map(str, range(10)), delivery_mode=2)
    facts = QueueFacts(type="quorum", delivery_limit=2)
    url = target.url("/retry-after?seconds=1&status=429&times=5")
    consumers.deliver(unique_name, url, facts=facts, retry=AT_ONCE)
    wait_until(lambda: len({request.body for request in target.requests}) == 10, 20)
    target.answer = 200
    consumers.deliver(unique_name, target.url("/ok"), facts=facts, retry=AT_ONCE)
    wait_until(lambda: (one := consumers.report(unique_name)) and one.delivered == 10, 20)
    assert ready(channel, f"{unique_name}.dlq") == 0
