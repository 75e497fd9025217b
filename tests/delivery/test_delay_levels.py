"""The delay levels in the broker: none of ours expires, lives on one node, or is lost sight of when it is deleted."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from gateway.amqp.topology import DUE, ORPHANS, level_name
from tests.delivery.running import Consumers
from tests.support.amqp import publish, take, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.target_http import Request

pytestmark = pytest.mark.versions


def test_our_queues_are_quorum_queues_without_expiry(
    consumers: Consumers, queue: str, target: Target, broker: BrokerNode
) -> None:
    consumers.deliver(queue, target.url(), retry={"schedule": (100,), "jitter": 0})

    def ours() -> dict[str, dict[str, object]]:
        queues = broker.management.get("queues", "/").json()
        return {one["name"]: one for one in queues if one["name"].startswith("workerrmq.")}

    found = wait_until(lambda: (names := ours()) and {ORPHANS, level_name(6)} <= names.keys() and names)
    for one in found.values():
        assert (one["type"], one["durable"]) == ("quorum", True)
        assert "x-expires" not in one["arguments"]  # type: ignore[operator]
    assert level_name(7) not in found


def test_many_retries_through_the_levels_come_back_none_early_none_lost(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    first: dict[str, float] = {}

    def answer(request: Request) -> int:
        """Half of the messages fail once."""
        fails = int(request.body) % 2 == 0 and request.id not in first
        first.setdefault(request.id, request.when)
        return 500 if fails else 200

    target.answer = answer
    for number in range(1000):
        publish(channel, queue, str(number), message_id=f"m-{number}", delivery_mode=2)
    consumers.deliver(queue, target.url(), retry={"schedule": (3,), "jitter": 0})
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1000, 40)
    again = [request for request in target.requests if request.headers["x-delivery-attempt"] == "2"]
    assert len(again) == 500
    assert min(request.when - first[request.id] for request in again) >= 3


def test_a_level_that_is_deleted_is_made_again(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(verify=0.3))
    consumers.deliver(queue, target.url("/status/500?times=1"), retry={"schedule": (1,), "jitter": 0})
    for round_ in range(3):  # several of the period
        wait_until(lambda: exists(channel, level_name(0)))
        channel.queue_delete(level_name(0))
        channel.exchange_delete(level_name(0))
        publish(channel, queue, b"body", message_id=f"m-{round_}")
        wait_until(lambda expected=round_ + 1: (one := consumers.report(queue)) and one.delivered == expected, 20)


def test_a_level_that_was_made_otherwise_is_used_as_it_is(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    arguments = {"x-queue-type": "classic", "x-message-ttl": 2000, "x-dead-letter-exchange": DUE}
    channel.queue_declare(level_name(0), durable=True, arguments=arguments)
    publish(channel, queue, b"body", message_id="m-1")
    consumers.deliver(queue, target.url("/status/500?times=1"), retry={"schedule": (1,), "jitter": 0})
    first, second = target.wait_for(2)
    assert second.when - first.when >= 2


def test_retries_of_an_earlier_version_come_back_although_its_due_exchange_led_to_each_queue_by_name(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, broker: BrokerNode
) -> None:
    consumers.end()
    for name in (DUE, ORPHANS):
        channel.exchange_delete(name)
    channel.exchange_declare(ORPHANS, "fanout", durable=True)
    channel.exchange_declare(DUE, "direct", durable=True, arguments={"alternate-exchange": ORPHANS})
    channel.queue_bind(queue, DUE, queue)
    newer = Consumers(broker.amqp_url)
    try:
        newer.deliver(queue, target.url("/status/500?times=1"), retry={"schedule": (1,), "jitter": 0})
        publish(channel, queue, b"body", message_id="m-1")
        wait_until(lambda: (one := newer.report(queue)) and one.delivered == 1)
        assert target.count == 2
    finally:
        newer.end()


def test_orphans_of_an_earlier_version_move_to_the_new_queue_and_its_retry_queues_drain(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, broker: BrokerNode
) -> None:
    consumers.end()
    old = "workerrmq.orphaned"
    channel.exchange_declare("workerrmq.return", "direct", durable=True, arguments={"alternate-exchange": old})
    channel.exchange_declare(old, "fanout", durable=True)
    channel.queue_declare(old, durable=True)
    channel.queue_bind(old, old)
    for number in range(250):
        publish(channel, old, f"orphan-{number}", message_id=f"o-{number}")
    rung = {"x-queue-type": "quorum", "x-message-ttl": 2000, "x-expires": 600_000,
            "x-dead-letter-exchange": "workerrmq.return"}  # fmt: skip
    channel.queue_declare("workerrmq.retry.2s", durable=True, arguments=rung)
    publish(channel, "workerrmq.retry.2s", b"for nobody")
    began = time.monotonic()
    newer = Consumers(broker.amqp_url)
    try:
        newer.deliver(queue, target.url())
        wait_ready(channel, ORPHANS, 251)
        assert time.monotonic() - began >= 1
        wait_until(lambda: not exists(channel, old))
        assert {one.properties.message_id for one in take(channel, ORPHANS, 250)} >= {f"o-{n}" for n in range(249)}
    finally:
        newer.end()


def exists(channel: BlockingChannel, name: str) -> bool:
    """Whether there is a queue of that name."""
    with channel.connection.channel() as other:
        try:
            other.queue_declare(name, passive=True)
        except Exception:  # noqa: BLE001 - any refusal means that it cannot be used
            return False
    return True
