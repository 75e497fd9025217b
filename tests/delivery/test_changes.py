"""Consumers that are changed or removed while they run: nothing in flight is lost or repeated."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.delivery.running import AT_ONCE, ONE_SECOND, Consumers
from tests.support.amqp import publish, ready, take, wait_ready
from tests.support.processes import wait_until
from tests.support.target import Target


@pytest.mark.broker_independent
def test_requests_in_flight_end_at_the_old_target_and_later_ones_go_to_the_new_target(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *"12345")
    consumers.deliver(queue, target.url("/hold"), prefetch=5)
    wait_until(lambda: target.held == 5)
    consumers.run(queue, target.url("/ok"), prefetch=5)
    publish(channel, queue, *"678")
    target.release(200)
    requests = target.wait_for(8)
    assert [request.path for request in requests] == ["/hold"] * 5 + ["/ok"] * 3
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.in_flight) == (8, 0))
    assert set(target.ids().values()) == {1}


@pytest.mark.broker_independent
def test_a_request_in_flight_is_settled_by_the_definition_under_which_it_was_sent(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, b"body")
    consumers.deliver(queue, target.url("/hold"), retry=AT_ONCE)
    wait_until(lambda: target.held == 1)
    consumers.deliver(queue, target.url("/hold"), retry=ONE_SECOND)
    target.release(500)
    (letter,) = take(channel, f"{queue}.dlq", 1)
    assert letter.headers["workerrmq-outcome"] == "exhausted"


@pytest.mark.parametrize(("before", "after"), [(2, 6), (6, 2)])
def test_a_new_prefetch_holds_for_what_comes_next_and_repeats_nothing(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, before: int, after: int
) -> None:
    publish(channel, queue, *map(str, range(20)))
    consumers.deliver(queue, target.url("/hold"), prefetch=before)
    wait_until(lambda: target.held == before)
    consumers.run(queue, target.url("/hold"), prefetch=after)
    consumers.wait(queue, "running", revision=2)
    # What is in flight was taken under the old one and does not count against the new one.
    wait_until(lambda: target.held == before + after)
    target.release()
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.in_flight) == (before + after, after))
    assert target.held == after

    def all_delivered() -> bool:
        target.release()
        one = consumers.report(queue)
        return one is not None and (one.delivered, one.in_flight) == (20, 0)

    wait_until(all_delivered)
    assert set(target.ids().values()) == {1}


def test_changes_under_load_lose_and_repeat_nothing(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *map(str, range(300)))
    consumers.deliver(queue, target.url("/slow?seconds=0.02"), prefetch=5)
    for change in range(8):
        target.wait_for(30 * change)
        consumers.run(queue, target.url("/slow?seconds=0.02"), prefetch=5 + change % 3, timeout=10 + change)
    wait_until(lambda: len(target.ids()) == 300, 30)
    wait_until(lambda: (one := consumers.report(queue)) and one.in_flight == 0)
    assert sorted(request.body for request in target.requests) == sorted(str(one).encode() for one in range(300))


def test_a_removed_consumer_finishes_what_it_holds_and_takes_no_more(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *"12345")
    consumers.deliver(queue, target.url("/hold"), prefetch=2)
    wait_until(lambda: target.held == 2)
    consumers.remove(queue)
    assert consumers.wait(queue, "draining").in_flight == 2
    target.release(200)
    wait_until(lambda: consumers.report(queue) is None)
    wait_until(lambda: channel.queue_declare(queue, passive=True).method.consumer_count == 0)
    wait_ready(channel, queue, 3)
    assert target.count == 2


def test_a_consumer_that_is_removed_and_made_again_at_once_starts_over(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url("/hold"))
    publish(channel, queue, b"1")
    wait_until(lambda: target.held == 1)
    consumers.remove(queue)
    consumers.run(queue, target.url("/ok"))
    target.release(200)
    publish(channel, queue, b"2")

    def taken_up() -> bool:
        consumers.apply()  # a worker says so every second
        return target.count == 2

    wait_until(taken_up)
    consumers.end(5)
    assert ready(channel, queue) == 0
    assert set(target.ids().values()) == {1}
