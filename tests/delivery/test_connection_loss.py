"""Connections that break, brokers that die: deliveries go on by themselves, and nothing is lost."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from gateway.amqp.link import Link
from gateway.amqp.nodes import BrokerNodes
from gateway.loop import Loop
from tests.delivery.breaking import close_connection
from tests.delivery.oracle import left, publish_ids, wait_delivered
from tests.delivery.running import AT_ONCE, Consumers
from tests.support.amqp import publish, ready, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.target import Target

pytestmark = pytest.mark.versions

IDS = [f"m-{number}" for number in range(200)]
RETRY = {"schedule": (1, 1), "jitter": 0}
PATIENT = {"failures": 10_000}


def test_deliveries_resume_when_the_broker_closes_the_connections(
    consumers: Consumers, channel: BlockingChannel, queue: str, broker: BrokerNode, target: Target
) -> None:
    publish_ids(channel, queue, IDS)
    consumers.deliver(queue, target.url("/slow?seconds=0.05"), prefetch=10)
    target.wait_for(30)
    close_connection(broker, "test-consumer")
    wait_delivered(target, IDS)
    consumers.wait(queue, "running")
    wait_ready(channel, queue, 0)
    assert consumers.thread.snapshot().connected


def test_a_connection_that_is_reset_again_and_again_loses_nothing(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    between: Proxy,
    proxied_url: str,
    target: Target,
) -> None:
    consumers = make_consumers(proxied_url)
    publish_ids(channel, queue, IDS)
    url = target.url("/random?fail=0.2")
    consumers.deliver(queue, url, prefetch=10, retry=RETRY, breaker=PATIENT)
    for count in (20, 60, 120):
        target.wait_for(count, 20)
        between.reset()
    dead: set[str] = set()

    def all_are_accounted_for() -> bool:
        dead.update(left(channel, f"{queue}.dlq"))
        return set(IDS) <= dead | set(target.delivered())

    wait_until(all_are_accounted_for, 30)
    wait_until(lambda: (one := consumers.report(queue)) and one.in_flight == 0)
    assert ready(channel, queue) == 0


def test_messages_in_flight_at_a_connection_loss_are_redelivered_with_the_same_id(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    between: Proxy,
    proxied_url: str,
    target: Target,
) -> None:
    consumers = make_consumers(proxied_url)
    publish_ids(channel, queue, IDS[:5])
    consumers.deliver(queue, target.url("/hold"), prefetch=5)
    wait_until(lambda: target.held == 5)
    between.reset()
    wait_until(lambda: target.held == 10, 20)
    target.release(200)  # the first five are answers to a channel that is gone, and must settle nothing on the new one
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.in_flight) == (5, 0))
    assert set(target.ids().values()) == {2}
    assert {request.headers["x-delivery-attempt"] for request in target.requests} == {"1"}
    consumers.end(5)
    assert ready(channel, queue) == 0


def test_a_broker_that_is_killed_and_comes_back_has_lost_nothing_and_deliveries_resume(
    consumers: Consumers, channel: BlockingChannel, queue: str, broker: BrokerNode, target: Target
) -> None:
    publish_ids(channel, queue, IDS)
    consumers.deliver(queue, target.url("/slow?seconds=0.05"), prefetch=10)
    target.wait_for(30)
    broker.kill()
    report = consumers.wait(queue, "waiting")
    assert "not connected" in (report.reason or "")
    assert not consumers.thread.snapshot().connected
    assert consumers.thread.snapshot().error
    broker.start()
    consumers.wait(queue, "running", "failing", timeout=60)
    wait_delivered(target, IDS)


def test_a_broker_that_is_down_at_the_start_is_waited_for(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    between: Proxy,
    proxied_url: str,
    target: Target,
) -> None:
    between.refuse()
    consumers = make_consumers(proxied_url)
    consumers.run(queue, target.url())
    publish(channel, queue, b"body")
    report = consumers.wait(queue, "waiting")
    assert "not connected" in (report.reason or "")
    between.flow()
    target.wait_for(1, 20)


def test_a_broker_that_stalls_is_noticed_and_its_messages_are_delivered_when_it_goes_on(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    between: Proxy,
    proxied_url: str,
    target: Target,
) -> None:
    consumers = make_consumers(f"{proxied_url}?heartbeat=1")
    consumers.deliver(queue, target.url(), retry=AT_ONCE)
    between.drop = True
    consumers.wait(queue, "waiting", timeout=30)
    between.reset()
    between.flow()
    publish(channel, queue, b"body")
    target.wait_for(1, 30)


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_stall_is_noticed_within_two_heartbeats_of_ten_seconds_unless_the_url_says_otherwise(
    consumers: Consumers, channel: BlockingChannel, queue: str, broker: BrokerNode, target: Target
) -> None:
    consumers.deliver(queue, target.url())
    names = "test-consumer", "test-consumer-copies", "test-consumer-due", "test-consumer-due-queue"
    wait_until(lambda: heartbeats(broker) == dict.fromkeys(names, 10))


def heartbeats(broker: BrokerNode) -> dict[str, int]:
    """Return the heartbeat timeout in seconds of each of the worker's connections, by name."""
    found = broker.management.get("connections").json()
    names = {one["client_properties"].get("connection_name"): one["timeout"] for one in found}
    return {name: timeout for name, timeout in names.items() if name}


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_connection_that_got_no_socket_is_tried_again(broker: BrokerNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """pika forgets it then, and nothing would ever follow."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)

    class AfterTheFault:
        def exception(self, event: str) -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, files)

    monkeypatch.setattr("gateway.loop.log", AfterTheFault())
    loop, ups, nodes = Loop(), [], BrokerNodes.parse(broker.amqp_url)

    def up(connection: Any) -> None:
        ups.append(connection)
        loop.finish()

    def connect() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, files[1]))
        link.open()

    link = Link(loop, nodes, "link", on_up=up, on_down=lambda _reason: None, longest_attempt=0.2)
    loop.call_later(0, connect)
    loop.call_later(10, loop.finish)
    try:
        loop.run()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
    assert ups
