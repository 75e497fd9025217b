"""A message that the target refuses (401, 403, 404, 409 …) while it takes others is at fault itself, and is charged."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from tests.delivery.running import ONE_SECOND, Consumers
from tests.support.amqp import publish, ready, take
from tests.support.processes import wait_until
from tests.support.target import Target


@pytest.mark.parametrize("status", [401, 403, 404, 409, 410, 302])
def test_in_a_busy_queue_a_refused_message_is_dead_lettered_and_the_others_go_on(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, status: int
) -> None:
    target.answer = lambda request: status if request.body.startswith(b"bad") else 200
    consumers.deliver(queue, target.url(), retry=ONE_SECOND, prefetch=5)
    publish(channel, queue, *map(str, range(20)))
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 20)
    publish(channel, queue, "bad-1", "bad-2", *map(str, range(20, 60)))

    def keep_busy() -> bool:
        publish(channel, queue, b"more")
        return ready(channel, f"{queue}.dlq") == 2

    wait_until(keep_busy, 20)
    letters = take(channel, f"{queue}.dlq", 2)
    assert {letter.body for letter in letters} == {b"bad-1", b"bad-2"}
    assert {letter.headers["workerrmq-attempts"] for letter in letters} == {2}
    assert {letter.headers["workerrmq-outcome"] for letter in letters} == {"exhausted"}
    assert sum(request.body.startswith(b"bad") for request in target.requests) == 4
    consumers.wait(queue, "running", "failing")


def test_when_the_last_success_is_long_ago_the_consumer_is_at_fault(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(recent_success=0.5))
    consumers.deliver(queue, target.url())
    for round_ in range(3):  # several of the period
        target.answer = 200
        publish(channel, queue, f"good-{round_}")
        wait_until(lambda expected=round_ + 1: (one := consumers.report(queue)) and one.delivered >= expected)
        wait_until(lambda: time.monotonic() - target.requests[-1].when > 0.6)
        target.answer = 401
        publish(channel, queue, f"refused-{round_}")
        consumers.wait(queue, "resting")
        target.answer = 200
        wait_until(lambda: ready(channel, queue) == 0 and (one := consumers.report(queue)) and one.in_flight == 0)
    report = consumers.report(queue)
    assert report is not None
    assert (report.retried, report.dead_lettered) == (0, 0)
