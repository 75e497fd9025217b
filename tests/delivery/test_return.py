"""The last hop of a retry: a queue that does not take its retries back delays those of no other queue."""

from __future__ import annotations

from collections.abc import Callable

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from gateway.amqp.topology import DUE, OVERDUE
from tests.conftest import REAL_BROKERS
from tests.delivery.due import takers
from tests.delivery.oracle import left, publish_ids, wait_delivered
from tests.delivery.running import Consumers
from tests.support.amqp import ready, wait_ready
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.target_http import Request

REFUSED = 50
"""Retries of the full queue: more than RabbitMQ's dead-letter worker has in flight (32)."""
LIMIT = {"max-length": 60, "overflow": "reject-publish"}

MakeConsumers = Callable[..., Consumers]


def declare(channel: BlockingChannel, broker: BrokerNode, name: str, kind: str) -> None:
    """A queue that refuses messages when it is full, by its arguments or by a policy."""
    by_policy = kind.endswith(" by policy")
    arguments = {"x-queue-type": kind.removesuffix(" by policy")}
    if by_policy:
        policy = {"pattern": f"^{name}$", "definition": LIMIT, "apply-to": "queues"}
        assert broker.management.put("policies", "/", name, body=policy).ok
    else:
        arguments |= {f"x-{key}": value for key, value in LIMIT.items()}  # type: ignore[misc]
    channel.queue_declare(name, durable=True, arguments=arguments)


def fill(channel: BlockingChannel, queue: str) -> None:
    """Publish until the queue refuses."""
    for _ in range(100):
        try:
            channel.basic_publish("", queue, b"filler", pika.BasicProperties(message_id="filler", delivery_mode=2))
        except pika.exceptions.NackError:
            return
    raise AssertionError(f"{queue} takes everything")


def failing_once(prefix: str) -> Callable[[Request], int]:
    """The first attempt of each message whose id starts so fails."""
    seen: set[str] = set()

    def answer(request: Request) -> int:
        fails = request.id.startswith(prefix) and request.id not in seen
        seen.add(request.id)
        return 500 if fails else 200

    return answer


def half_failing(count: int) -> list[str]:
    """Ids for `failing_once("m-")`; enough succeed to keep the circuit breaker closed."""
    return [f"{'ok' if number % 2 else 'm'}-{number}" for number in range(count)]


def hold_up(
    consumers: Consumers, channel: BlockingChannel, broker: BrokerNode, target: Target, full: str, kind: str
) -> list[str]:
    """Fill a queue while retries wait that come back to it; their ids."""
    ids = [f"full-{number}" for number in range(REFUSED)]
    declare(channel, broker, full, kind)
    publish_ids(channel, full, ids)
    consumers.deliver(full, target.url("/status/500"), retry={"schedule": (5,) * 5, "jitter": 0})
    wait_until(lambda: (one := consumers.report(full)) and one.retried >= REFUSED)
    consumers.remove(full)
    fill(channel, full)
    wait_until(lambda: consumers.report(full) is None)
    return ids


def deliver_another(consumers: Consumers, channel: BlockingChannel, target: Target, queue: str) -> None:
    """Retries of another queue, which become due after those of the full one, arrive."""
    others = [f"other-{number}" for number in range(40)]
    target.answer = failing_once("other")
    consumers.deliver(queue, target.url("/ok"), retry={"schedule": (6,), "jitter": 0})
    publish_ids(channel, queue, others)
    wait_delivered(target, others, 30)


@pytest.mark.parametrize("kind", ["classic", "quorum", "classic by policy"])
def test_a_full_queue_that_refuses_its_retries_delays_no_other_queue(
    make_consumers: MakeConsumers,
    channel: BlockingChannel,
    queue: str,
    broker: BrokerNode,
    target: Target,
    unique_name: str,
    kind: str,
) -> None:
    full, consumers = f"{unique_name}-full", make_consumers(periods=Periods(return_again=2))
    ids = hold_up(consumers, channel, broker, target, full, kind)
    deliver_another(consumers, channel, target, queue)
    wait_ready(channel, OVERDUE, len(ids), 20)
    assert not set(ids) & set(target.delivered())

    channel.queue_purge(full)
    consumers.deliver(full, target.url("/ok"))
    wait_delivered(target, ids, 30)
    wait_until(lambda: not left(channel, full, OVERDUE, DUE), 20)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_queue_that_stays_full_over_many_periods_loses_no_retry(
    make_consumers: MakeConsumers,
    channel: BlockingChannel,
    queue: str,
    broker: BrokerNode,
    target: Target,
    unique_name: str,
) -> None:
    """Longer than the three minutes after which RabbitMQ's dead-letter worker tries again; two workers, one killed."""
    full, periods = f"{unique_name}-full", Periods(return_again=4)
    consumers = make_consumers(periods=periods)
    ids = hold_up(consumers, channel, broker, target, full, "quorum")
    for round_ in range(10):
        deliver_another(make_consumers(periods=periods), channel, target, f"{queue}")
        channel.connection.process_data_events(10)
        if round_ % 3 == 2:
            broker.close_connections()
            channel = broker.connect(heartbeat=0).channel()
            channel.confirm_delivery()
    assert not set(ids) & set(target.delivered())
    channel.queue_purge(full)
    consumers.deliver(full, target.url("/ok"))
    wait_delivered(target, ids, 60)


def test_retries_are_not_lost_when_the_worker_ends_while_it_puts_them_back(
    make_consumers: MakeConsumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    ids = half_failing(400)
    target.answer = failing_once("m-")
    first = make_consumers()
    publish_ids(channel, queue, ids)
    first.deliver(queue, target.url("/ok"), retry={"schedule": (2,), "jitter": 0}, prefetch=400)
    wait_until(lambda: (one := first.report(queue)) and one.retried == len(ids) // 2, 30)
    wait_until(lambda: len(target.delivered()) > len(ids) // 2)
    first.end()
    make_consumers().deliver(queue, target.url("/ok"))
    wait_delivered(target, ids)


def test_a_retry_whose_queue_is_gone_waits_among_the_orphans_and_delays_no_other(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, unique_name: str
) -> None:
    gone = f"{unique_name}-gone"
    channel.queue_declare(gone, durable=True)
    ids = [f"gone-{number}" for number in range(REFUSED)]
    publish_ids(channel, gone, ids)
    consumers.deliver(gone, target.url("/status/500"), retry={"schedule": (3,), "jitter": 0})
    wait_until(lambda: (one := consumers.report(gone)) and one.retried == REFUSED)
    consumers.remove(gone)
    channel.queue_delete(gone)
    deliver_another(consumers, channel, target, queue)
    wait_ready(channel, "workerrmq.orphans", REFUSED)
    assert left(channel, "workerrmq.orphans") == set(ids)


@pytest.mark.parametrize("broker", REAL_BROKERS, indirect=True)
def test_a_retry_survives_that_the_broker_is_killed_as_soon_as_its_level_is_there(
    make_consumers: MakeConsumers, channel: BlockingChannel, queue: str, target: Target, broker: BrokerNode
) -> None:
    """RabbitMQ loses a quorum queue that is younger than three seconds when its node is killed."""
    consumers = make_consumers(periods=Periods(settling=4.99))
    ids = half_failing(100)
    target.answer = failing_once("m-")
    publish_ids(channel, queue, ids)
    consumers.deliver(queue, target.url("/ok"), retry={"schedule": (8,), "jitter": 0}, prefetch=100)
    wait_until(lambda: (one := consumers.report(queue)) and one.retried == len(ids) // 2, 30)
    broker.process.kill()
    broker.start()
    wait_delivered(target, ids, 60)


def test_the_queue_of_due_retries_is_made_again_when_it_is_deleted(
    make_consumers: MakeConsumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(look_again=0.2))
    consumers.deliver(queue, target.url("/ok"), retry={"schedule": (1,), "jitter": 0})
    target.answer = failing_once("m-")
    for round_ in range(3):  # several of the period
        wait_until(lambda: takers(channel))
        channel.queue_delete(DUE)
        wait_until(lambda: takers(channel))
        publish_ids(channel, queue, [f"m-{round_}"])
        wait_delivered(target, [f"m-{round_}"], 20)
    assert ready(channel, DUE) == 0
