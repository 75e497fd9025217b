"""Limits of the requests in flight, on real brokers."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.filter_pattern import FilterPattern
from tests.delivery.oracle import publish_ids
from tests.delivery.running import Consumers
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.target import Target
from tests.support.token_server import TokenServer, reply

pytestmark = pytest.mark.broker_independent


def wait_held(target: Target, count: int) -> None:
    wait_until(lambda: target.held == count, 20, f"{count} requests in flight")


@pytest.mark.versions
def test_no_more_requests_are_in_flight_than_allowed_and_the_rest_follow(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish_ids(channel, queue, map(str, range(20)))
    consumers.deliver(queue, target.url("/hold"), concurrency={"max": 3})
    wait_until(lambda: consumers.report(queue).in_flight == 20, 20, "all messages at the worker")
    wait_held(target, 3)
    target.release()
    wait_held(target, 3)
    assert target.count == 6
    consumers.deliver(queue, target.url("/hold"), concurrency={"max": 5})
    wait_held(target, 5)
    consumers.deliver(queue, target.url("/ok"))
    target.release()
    wait_until(lambda: len(target.delivered()) == 20, 20, "all being delivered")
    assert set(target.delivered().values()) == {1}


def test_batches_and_ordered_consumers_have_the_limit_as_well(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, unique_name: str
) -> None:
    channel.queue_declare(other := f"{unique_name}-ordered", durable=True)
    for name in (queue, other):
        for number in range(12):
            channel.basic_publish("", name, b'{"key": %d}' % number)
    fields = {"concurrency": {"max": 2}, "prefetch": 12}
    consumers.deliver(queue, target.url("/hold"), batch={"maxMessages": 3}, payload="envelope", **fields)
    wait_held(target, 2)
    consumers.deliver(other, target.url("/hold"), ordering={"jsonPath": "key"}, **fields)
    wait_held(target, 4)
    wait_until(lambda: target.release() is None and target.count == 4 + 12, 20, "all requests")
    target.release()
    for name in (queue, other):
        wait_until(lambda name=name: consumers.report(name).delivered == 12, 20, "12 delivered")


def test_after_the_breaker_has_closed_requests_begin_with_one(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    target.answer = 500
    publish_ids(channel, queue, map(str, range(40)))
    breaker = {"failures": 2, "openSeconds": 1}
    consumers.run(queue, target.url(), concurrency={"max": 8}, breaker=breaker, retry={"schedule": (60,)})
    consumers.wait(queue, "breaker-open")
    consumers.run(queue, target.url("/hold"), concurrency={"max": 8}, breaker=breaker, retry={"schedule": (60,)})
    for in_flight in (1, 1, 2, 4, 8):  # the first is the probe
        wait_held(target, in_flight)
        target.release()


def test_an_adaptive_limit_finds_the_capacity_of_a_target_that_refuses(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    """The target has room for 5 requests, and answers 503 to more. Few are refused, and all are delivered."""
    target.room = 5
    publish_ids(channel, queue, map(str, range(600)))
    concurrency = {"max": 64, "adaptive": True}
    consumers.deliver(queue, target.url("/room?seconds=0.02"), concurrency=concurrency, retry={"schedule": (1,) * 5})
    wait_until(lambda: len(target.delivered()) == 600, 60, "all being delivered")
    assert set(target.delivered().values()) == {1}
    assert target.count < 600 * 1.1


@pytest.mark.parametrize("batch", [None, {"maxMessages": 1}])
def test_a_request_that_is_dropped_makes_room_for_the_next(
    make_consumers: Callable[..., Consumers],
    between: Proxy,
    channel: BlockingChannel,
    queue: str,
    proxied_url: str,
    target: Target,
    batch: dict[str, Any] | None,
) -> None:
    """The connection is lost while the only request that is allowed waits for its token."""
    consumers, go_on = make_consumers(proxied_url), Event()
    with TokenServer() as tokens:
        tokens.answer = lambda http: go_on.wait(30) and reply(http, 200, tokens.token())
        channel.basic_publish("", queue, b"1")
        fields: dict[str, Any] = {"batch": batch, "payload": "envelope", "concurrency": {"max": 1}}
        consumers.deliver(queue, target.url(), auth=tokens.auth, **fields)
        wait_until(lambda: tokens.requests, 20, "a request for a token")
        between.refuse()
        consumers.wait(queue, "waiting")
        channel.basic_publish("", queue, b"2")
        between.flow()
        wait_until(lambda: consumers.report(queue).in_flight == 2, 20, "both messages at the worker")
        go_on.set()
        wait_until(lambda: consumers.report(queue).delivered == 2, 20, "2 delivered")
        assert target.count == 2


def test_a_limit_that_was_removed_meanwhile_is_kept_again(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish_ids(channel, queue, map(str, range(3)))
    consumers.deliver(queue, target.url("/hold"), concurrency={"max": 3})
    wait_held(target, 3)
    consumers.deliver(queue, target.url("/hold"))
    consumers.deliver(queue, target.url("/hold"), concurrency={"max": 2})
    target.release()
    wait_until(lambda: consumers.report(queue).delivered == 3, 20, "3 delivered")
    publish_ids(channel, queue, map(str, range(3, 12)))
    wait_until(lambda: consumers.report(queue).in_flight == 9, 20, "9 messages at the worker")
    wait_held(target, 2)
    assert target.count == 5


def test_an_ordered_consumer_begins_with_one_request_as_well(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    """Its messages are held while the circuit breaker is open."""
    for number in range(40):
        channel.basic_publish("", queue, b'{"key": %d}' % number)
    fields: dict[str, Any] = {
        "ordering": {"jsonPath": "key"}, "concurrency": {"max": 8}, "retry": {"schedule": (60,)},
        "breaker": {"failures": 2, "openSeconds": 1},
    }  # fmt: skip
    target.answer = 500
    consumers.run(queue, target.url(), **fields)
    consumers.wait(queue, "breaker-open")
    consumers.run(queue, target.url("/hold"), **fields)
    for in_flight in (1, 1, 2, 4, 8):  # the first is the probe
        wait_held(target, in_flight)
        target.release()


@pytest.mark.parametrize("batch", [None, {"maxMessages": 1, "maxWaitMs": 0}])
def test_hundreds_of_held_messages_that_are_not_sent_follow_each_other(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, batch: dict[str, int] | None
) -> None:
    """Each could be the probe of the half-open circuit breaker, but none matches the filter."""
    target.answer = 500
    for number in range(400):
        channel.basic_publish("", queue, b'{"key": %d}' % number)
    fields: dict[str, Any] = {
        "ordering": {"jsonPath": "key"}, "retry": {"schedule": (60,)}, "breaker": {"failures": 1, "openSeconds": 2},
        "filter": FilterPattern({"body": {"key": 0}}), "otherwise": "discard", "prefetch": 500, "batch": batch,
        "rate_limit": {"perSecond": 0.5, "burst": 1}, "payload": "envelope",
    }  # fmt: skip
    consumers.run(queue, target.url(), **fields)
    consumers.wait(queue, "breaker-open")
    wait_until(lambda: consumers.report(queue).in_flight == 400, 20, "all messages at the worker")
    consumers.run(queue, target.url(), **(fields | {"rate_limit": None}))
    wait_until(lambda: consumers.report(queue).filtered == 399, 20, "399 filtered")
    assert (consumers.report(queue).requeued, consumers.report(queue).dead_lettered) == (1, 0)  # the first, uncharged
