"""A worker on a store that refuses, delays or loses single commands."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pymongo import MongoClient

from delivery.periods import Periods
from domain.attempt import AttemptFilter
from domain.consumer import ConsumerSpec, RateLimit
from domain.registry import Heartbeat, Subscription
from domain.selection import Order
from gateway.amqp.nodes import BrokerNodes
from gateway.consuming.thread import ConsumerThread
from gateway.management import DeadLetterGateway, ManagementClient
from gateway.mongo import Store, open_store
from gateway.mongo.collection import Document
from gateway.mongo.heartbeats import Heartbeats
from services.reconciler import Reconciler
from tests.support.amqp import publish
from tests.support.management import management_nodes
from tests.support.mongo_proxy import Fault, MongoProxy, refusal
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.target import Target

pytestmark = pytest.mark.parametrize("broker", ["embedded"], indirect=True)  # the store is what matters here
DATABASE = "worker"
LIVE_FOR = 1.5
UNAUTHORIZED = refusal(13, "Unauthorized")


class Steered(ConsumerThread):
    """Notes the shares of a rate limit that it was told."""

    shares: list[float]

    def apply(self, subscriptions: Sequence[Subscription]) -> None:
        self.shares += [one.share for one in subscriptions]
        super().apply(subscriptions)


@pytest.fixture
def direct(store: StoreNode, tmp_path: Path) -> Iterator[Store]:
    """The store without anything in between."""
    one = open_store(store.uri(DATABASE), "a secret key for tests", tmp_path)
    yield one
    one.close()


@pytest.fixture
def heartbeats(store: StoreNode) -> Iterator[Heartbeats]:
    """The heartbeats as another process sees them, which takes a worker for dead soon."""
    with MongoClient[Document](store.uri(DATABASE), tz_aware=True) as client:
        yield Heartbeats(client[DATABASE], live_for=LIVE_FOR)


@pytest.fixture
def steered(mongo_proxy: MongoProxy, broker: BrokerNode, tmp_path: Path) -> Iterator[Steered]:
    """The consumer thread of a worker whose store is behind the proxy, and which takes others for dead soon."""
    store = open_store(f"mongodb://127.0.0.1:{mongo_proxy.port}/{DATABASE}", "a secret key for tests", tmp_path)
    client = MongoClient[Document]("127.0.0.1", mongo_proxy.port, tz_aware=True, timeoutMS=1000)
    store.heartbeats = Heartbeats(client[DATABASE], live_for=LIVE_FOR)
    thread = Steered(BrokerNodes.parse(broker.amqp_url))
    thread.shares = []
    url = broker.management_url.replace("http://", "http://guest:guest@")
    queues = DeadLetterGateway(ManagementClient(management_nodes(url)))
    worker = Reconciler(store, queues, lambda: thread, Periods(turn=0.1))
    worker.start()
    yield thread
    mongo_proxy.faults = []
    worker.stop(0)
    client.close()
    store.close()


@pytest.mark.parametrize(
    "fault",
    [Fault("insert", "attempts", UNAUTHORIZED), Fault("insert", "attempts", lost=True)],
    ids=["refused", "lost"],
)
@pytest.mark.usefixtures("steered")
def test_a_worker_whose_attempts_are_not_taken_is_live_and_writes_them_later(
    direct: Store,
    heartbeats: Heartbeats,
    mongo_proxy: MongoProxy,
    channel: BlockingChannel,
    queue: str,
    target: Target,
    fault: Fault,
) -> None:
    mongo_proxy.faults = [fault]
    direct.consumers.create(ConsumerSpec(queue_name=queue, url=target.url("/status/422")))
    publish(channel, queue, b"body")
    wait_until(lambda: any(one.get("insert") == "attempts" for one in mongo_proxy.seen), 20, "an attempt")
    until = time.monotonic() + 3 * LIVE_FOR
    while time.monotonic() < until:
        assert heartbeats.count() == 1
    mongo_proxy.faults = []
    wait_until(lambda: direct.attempts.find(AttemptFilter(), Order(), 1, 1).total == 1, 20, "the attempt being stored")


def test_a_worker_whose_heartbeats_are_refused_keeps_its_share_of_a_rate_limit(
    direct: Store,
    heartbeats: Heartbeats,
    mongo_proxy: MongoProxy,
    queue: str,
    target: Target,
    steered: Steered,
) -> None:
    wait_until(lambda: heartbeats.count() == 1)
    spec = ConsumerSpec(queue_name=queue, url=target.url(), rate_limit=RateLimit(per_second=10))

    def others() -> None:
        now = datetime.now(UTC)  # of both, so that both fall silent at once
        for name in ("one", "other"):
            heartbeats.beat(Heartbeat(name, now, now, True, ()))

    def share() -> float:
        others()
        return steered.shares[-1] if steered.shares else 0

    others()
    direct.consumers.create(spec)
    wait_until(lambda: share() == 1 / 3, 20, "the worker taking a third")
    mongo_proxy.faults = [Fault("update", "heartbeats", UNAUTHORIZED)]
    wait_until(lambda: share() == 1 / 2, 20, "its own silence, of which it hears")
    wait_until(lambda: heartbeats.count() == 0, 20, "nobody being live")
    told = len(steered.shares)
    wait_until(lambda: len(steered.shares) > told + 10, 20, "the worker being steered on")
    assert set(steered.shares[told:]) == {1 / 2}


def test_a_consumer_whose_deletion_was_not_confirmed_is_drained_soon(
    direct: Store,
    heartbeats: Heartbeats,
    mongo_proxy: MongoProxy,
    queue: str,
    target: Target,
    steered: Steered,
    store: StoreNode,
    tmp_path: Path,
) -> None:
    consumer, _ = direct.consumers.create(ConsumerSpec(queue_name=queue, url=target.url()))

    def consumers() -> list[str]:
        return [report.consumer_id for beat in heartbeats.live() for report in beat.consumers]

    wait_until(lambda: consumers() == [consumer.id], 20, "it being run")
    mongo_proxy.faults = [Fault("delete", "consumers", lost=True)]
    hasty = open_store(f"mongodb://127.0.0.1:{mongo_proxy.port}/{DATABASE}", "k", tmp_path, deadline=0.5)
    with pytest.raises(Exception, match="did not answer in time"):
        hasty.consumers.delete(consumer.id)
    hasty.close()
    wait_until(lambda: consumers() == [], 20, "it being drained, long before the registry is read again")
