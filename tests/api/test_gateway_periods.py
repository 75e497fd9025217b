"""Each period that publishing, replays and the gateways have: a test that lives through several of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pika
import pytest

from delivery.copies import Source
from delivery.target_guard import Guard
from domain.consumer import ConsumerSpec
from domain.details import ExchangeDetails
from domain.errors import BrokerUnavailable, PublishUnconfirmed, Unroutable
from domain.message import Message, Properties
from domain.outcome import ErrorClass
from domain.registry import RegisteredConsumer
from domain.replay import Replay, ReplayRequest
from domain.url_template import UrlTemplate
from gateway.amqp.held_messages import HeldMessages
from gateway.amqp.link import Link
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.replay import DeadLetterReplay
from gateway.http.sample import send_sample
from gateway.http.target_names import TargetNames
from gateway.loop import Loop
from gateway.management import ExchangeGateway, ManagementClient, QueueLookup
from gateway.mongo import open_store
from gateway.rendering.once import OnceRenderers
from services.messages import Messages
from services.replay_warnings import ReplayWarnings
from services.replays import Replays
from tests.delivery.reading import reader_of
from tests.support.embedded import EmbeddedNode
from tests.support.management import management_nodes
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.store import StoreNode
from tests.support.target import Target

OPEN = Guard(allow="127.0.0.0/8")
ERP = UrlTemplate("https://erp.example/").target


def api_of(broker: EmbeddedNode, **periods: float) -> ManagementClient:
    return ManagementClient(management_nodes(broker.management_url), **periods)


@pytest.fixture
def publisher(embedded: EmbeddedNode) -> Iterator[PublisherThread]:
    """The publisher of a process, connected."""
    thread = PublisherThread(BrokerNodes.parse(embedded.amqp_url))
    thread.start()
    wait_until(lambda: thread.connected, 20)
    yield thread
    thread.stop()


class WatchedExchanges(ExchangeGateway):
    """Notes when each look begins."""

    def __init__(self, client: ManagementClient) -> None:
        super().__init__(client)
        self.looks: list[float] = []

    def get(self, name: str) -> ExchangeDetails:
        self.looks.append(time.monotonic())
        return super().get(name)


def messages_of(
    embedded: EmbeddedNode, publisher: PublisherThread, exchanges: ExchangeGateway, **periods: Any
) -> Messages:
    lookup = QueueLookup(api_of(embedded))
    held = HeldMessages(reader_of(embedded, BrokerNodes.parse(embedded.amqp_url), publisher))
    return Messages(publisher, exchanges, lookup, held, 10, lambda _scheduled: None, **periods)


def publish(messages: Messages, exchange: str = "amq.topic") -> None:
    """Publish to an exchange to which no queue is bound."""
    with pytest.raises(Unroutable):
        messages.publish(Message("anywhere", b"body", exchange))


def publish_until_looked(messages: Messages, exchanges: WatchedExchanges, count: int) -> None:
    until = time.monotonic() + 20
    while len(exchanges.looks) < count:
        assert time.monotonic() < until
        publish(messages)


def test_an_exchange_is_looked_for_once_in_each_period(embedded: EmbeddedNode, publisher: PublisherThread) -> None:
    exchanges = WatchedExchanges(api_of(embedded))
    publish_until_looked(messages_of(embedded, publisher, exchanges, trusted=0.4), exchanges, 5)
    assert all(later - earlier >= 0.4 for earlier, later in itertools.pairwise(exchanges.looks))


def test_a_management_api_that_is_down_is_asked_once_in_each_period(
    embedded: EmbeddedNode, publisher: PublisherThread, proxy: Callable[[int], Proxy]
) -> None:
    port = int(embedded.management_url.rpartition(":")[2].strip("/"))
    way = proxy(port)
    exchanges = WatchedExchanges(
        ManagementClient(management_nodes(embedded.management_url.replace(str(port), str(way.port))))
    )
    messages = messages_of(embedded, publisher, exchanges, trusted=3600, untold=0.4)
    way.refuse()
    publish_until_looked(messages, exchanges, 5)
    assert all(later - earlier >= 0.4 for earlier, later in itertools.pairwise(exchanges.looks))
    way.flow()
    publish_until_looked(messages, exchanges, 6)
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        publish(messages)
    assert len(exchanges.looks) == 6, "it was found, and is trusted"


def test_the_names_of_exchanges_that_were_seen_do_not_pile_up(
    embedded: EmbeddedNode, publisher: PublisherThread
) -> None:
    exchanges = WatchedExchanges(api_of(embedded))
    messages = messages_of(embedded, publisher, exchanges, trusted=3600, most=2)
    for expected, name in enumerate(("amq.topic", "amq.direct", "amq.fanout", "amq.topic"), 1):
        publish(messages, name)
        publish(messages, name)
        assert len(exchanges.looks) == expected


def test_a_replay_that_its_rate_holds_up_for_several_periods_is_not_taken_for_dead(
    embedded: EmbeddedNode, publisher: PublisherThread, store: StoreNode, unique_name: str, tmp_path: Path
) -> None:
    with embedded.connect() as connection:
        channel = connection.channel()
        for name in (unique_name, f"{unique_name}.dlq"):
            channel.queue_declare(name, durable=True)
        channel.confirm_delivery()
        for _ in range(4):
            channel.basic_publish("", f"{unique_name}.dlq", b"body", pika.BasicProperties(delivery_mode=2))
    one = open_store(store.uri("replays"), "a key", tmp_path)
    gateway = DeadLetterReplay(
        reader_of(embedded, BrokerNodes.parse(embedded.amqp_url), publisher), publisher, pace=0.1
    )
    replays = Replays(
        gateway,
        one.replays,
        ReplayWarnings(one.consumers, one.heartbeats),
        one.attempts,
        stored_every=0.1,
        silent=timedelta(seconds=1),
    )
    begun = replays.begin(ReplayRequest(queue_name=unique_name, per_second=1.0))
    states = []

    def ended() -> bool:
        states.append(replays.get(begun.replay_id))
        return states[-1].state != "running"

    wait_until(ended, 20, "the replay's end")
    assert (states[-1].state, states[-1].replayed) == ("finished", 4)
    assert len({state.updated_at for state in states}) > 10
    one.close()


def test_each_replay_whose_process_is_silent_for_longer_than_the_period_counts_as_interrupted(
    embedded: EmbeddedNode, publisher: PublisherThread, store: StoreNode, tmp_path: Path
) -> None:
    one = open_store(store.uri("replays"), "a key", tmp_path)
    gateway = DeadLetterReplay(reader_of(embedded, BrokerNodes.parse(embedded.amqp_url), publisher), publisher)
    replays = Replays(
        gateway, one.replays, ReplayWarnings(one.consumers, one.heartbeats), one.attempts, silent=timedelta(seconds=0.5)
    )
    for _ in range(3):
        now = datetime.now(UTC)
        one.replays.put(
            Replay(
                replay_id="r", queue_name="q", dead_letter_queue="q.dlq", state="running", dry_run=False,
                started_at=now, updated_at=now,
            )
        )  # fmt: skip
        assert replays.get("r").state == "running"
        wait_until(lambda: replays.get("r").state == "interrupted", 20)
    one.close()


def test_the_brokers_version_is_read_again_in_each_period() -> None:
    versions = itertools.count(1)

    class Overview(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"rabbitmq_version": "4.0.%d"}' % next(versions)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Overview) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            client = ManagementClient(management_nodes(f"http://127.0.0.1:{server.server_port}"), version_seconds=0.3)
            for number in range(1, 5):
                assert client.version() == (4, 0, number)
                assert client.version() == (4, 0, number)
                wait_until(lambda number=number: client.version() != (4, 0, number), 20)
        finally:
            server.shutdown()
            thread.join()


def test_a_name_server_that_does_not_answer_costs_each_question_its_patience_and_no_more() -> None:
    answers = Event()

    def look_up(host: str) -> list[str]:
        answers.wait(30)
        return ["192.0.2.1"]

    names = TargetNames(Guard(), patience=0.1, look_up=look_up)
    for _ in range(3):
        refusal, warning = names.judge(ERP)
        assert refusal is None
        assert warning is not None
        assert "erp.example does not resolve" in warning
    answers.set()
    assert "192.0.2.1" in str(TargetNames(Guard(), patience=10, look_up=look_up).judge(ERP)[0])


def test_a_sample_of_a_target_that_hangs_ends_after_its_longest_wait_again_and_again(target: Target) -> None:
    now = datetime.now(UTC)
    spec = ConsumerSpec(queue_name="q", url=target.url("/hang"), timeout=60)
    consumer = RegisteredConsumer("id", spec, 1, "enabled", None, now, now)
    for number in range(1, 4):
        answer = send_sample(
            consumer, Source("q", "", "q", Properties(), b"body", "m-1"), OnceRenderers(), OPEN, longest=0.2
        )
        assert answer.error is ErrorClass.TIMEOUT
        assert target.count == number


def test_a_connection_outlives_several_heartbeats_and_a_stall_is_noticed_by_them(
    embedded: EmbeddedNode, proxy: Callable[[int], Proxy]
) -> None:
    way = proxy(embedded.port)
    loop = Loop()
    ups: list[float] = []
    downs: list[float] = []

    def up(_connection: object) -> None:
        ups.append(time.monotonic())
        if len(ups) == 2:
            loop.finish()
        else:
            loop.call_later(3.0, way.stall)  # three heartbeats later

    def down(_reason: str) -> None:
        downs.append(time.monotonic())
        way.reset()
        way.flow()

    nodes = BrokerNodes.parse(embedded.amqp_url.replace(str(embedded.port), str(way.port)))
    link = Link(loop, nodes, "link", on_up=up, on_down=down, heartbeat=1)
    loop.call_later(0, link.open)
    loop.call_later(60, loop.finish)
    loop.run()
    assert len(ups) == 2
    assert downs[0] - ups[0] >= 3.0


def test_a_node_that_stalls_costs_each_attempt_to_connect_its_handshake_time(
    embedded: EmbeddedNode, proxy: Callable[[int], Proxy]
) -> None:
    way = proxy(embedded.port)
    way.stall()
    url = embedded.amqp_url.replace(str(embedded.port), str(way.port))
    nodes = BrokerNodes.parse(url, connect=0.2, handshake=0.4)
    for attempt in range(1, 4):
        with pytest.raises(BrokerUnavailable):
            nodes.connect("test")
        assert way.accepted == attempt
    way.flow()
    BrokerNodes.parse(url, connect=0.2, handshake=10).connect("test").close()


def test_each_publish_to_a_broker_that_stalls_has_its_result_after_its_timeout(
    embedded: EmbeddedNode, proxy: Callable[[int], Proxy]
) -> None:
    way = proxy(embedded.port)
    nodes = BrokerNodes.parse(embedded.amqp_url.replace(str(embedded.port), str(way.port)))
    thread = PublisherThread(nodes, precision=0.01, closing=0.1)
    thread.start()
    wait_until(lambda: thread.connected, 20)
    way.stall()
    for _ in range(3):
        (error,) = thread.publish([Message("q", b"body")], 0.2).result(10)
        assert isinstance(error, PublishUnconfirmed | BrokerUnavailable)
    way.flow()
    wait_until(lambda: thread.connected, 20)
    (error,) = thread.publish([Message("q", b"body")], 10).result(20)
    assert isinstance(error, Unroutable)
    thread.stop()
