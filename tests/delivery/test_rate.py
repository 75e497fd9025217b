"""The rate limit of a consumer, whatever its prefetch."""

from __future__ import annotations

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.delivery.running import Consumers
from tests.support.amqp import publish, ready
from tests.support.processes import wait_until
from tests.support.target import Target


def test_no_more_than_the_rate_allows_goes_out_and_a_change_holds_at_once(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *(str(n) for n in range(40)))
    consumers.deliver(queue, target.url(), rate_limit={"perSecond": 5, "burst": 3})
    first = target.wait_for(10, 20)[:10]
    # After the burst of three, seven more at five a second take 1.4 s at least; a turn of the loop may bunch two.
    assert first[-1].when - first[0].when >= 1.2
    consumers.run(queue, target.url(), rate_limit={"perSecond": 10_000, "burst": 100})
    wait_until(lambda: sum(target.delivered().values()) == 40, 10)
    assert max(target.delivered().values()) == 1


def test_what_waits_for_its_turn_goes_back_when_the_consumer_stops(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, *(str(n) for n in range(20)))
    consumers.deliver(queue, target.url(), rate_limit={"perSecond": 0.01, "burst": 2})
    target.wait_for(2)
    consumers.end(5)
    assert ready(channel, queue) == 18
    assert target.count == 2


@pytest.mark.parametrize("ordering", ["none", "queue"])
@pytest.mark.parametrize("limit", [None, {"perSecond": 10_000, "burst": 100}])
def test_what_waits_under_a_slow_rate_goes_out_when_the_rate_is_raised_or_taken_away(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, limit: object, ordering: str
) -> None:
    publish(channel, queue, *"123")
    consumers.deliver(queue, target.url("/ok/before"), ordering=ordering, rate_limit={"perSecond": 0.01, "burst": 1})
    target.wait_for(1)
    consumers.run(queue, target.url("/ok/after"), ordering=ordering, rate_limit=limit)
    assert [one.path for one in target.wait_for(3)] == ["/ok/before", "/ok/after", "/ok/after"]
