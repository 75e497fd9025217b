"""A cluster has several nodes: whatever one of them does, publishers, consumers and replays reach another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from domain.errors import BrokerUnavailable
from domain.message import Message, Properties
from domain.replay import ReplayRequest
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.replay import DeadLetterReplay, Progress
from tests.delivery.oracle import publish_ids, wait_delivered
from tests.delivery.reading import reader_of
from tests.delivery.running import Consumers
from tests.support.node import BrokerNode
from tests.support.processes import free_port, wait_until
from tests.support.proxy import Proxy
from tests.support.target import Target

FAULTS = ["refuses", "closes", "swallows", "no name", "another login", "another protocol"]


@pytest.fixture
def faulty(broker: BrokerNode, proxy: Callable[[int], Proxy], target: Target) -> Callable[[str], str]:
    """The URL of a node with this fault."""

    def url(fault: str) -> str:
        swallowing = proxy(broker.port)
        swallowing.drop = True
        port = f"127.0.0.1:{broker.port}"
        return {
            "refuses": f"amqp://127.0.0.1:{free_port()}",
            "closes": f"amqp://127.0.0.1:{proxy(free_port()).port}",
            "swallows": f"amqp://127.0.0.1:{swallowing.port}/?stack_timeout=1&socket_timeout=1",
            "no name": "amqp://nowhere.invalid",
            "another login": f"amqp://guest:canary@{port}",
            "another protocol": f"amqp://127.0.0.1:{target.port}/?stack_timeout=1&socket_timeout=1",
        }[fault]

    return url


@pytest.fixture
def publishers() -> Iterator[list[PublisherThread]]:
    """Yield a list. The publishers in it end with the test."""
    made: list[PublisherThread] = []
    yield made
    for one in made:
        one.stop(0)


def start_publisher(publishers: list[PublisherThread], url: str) -> PublisherThread:
    publishers.append(PublisherThread(BrokerNodes.parse(url), "test-publisher"))
    publishers[-1].start()
    return publishers[-1]


def message(queue: str, name: str = "m") -> Message:
    return Message(queue, b"body", properties=Properties(message_id=name))


@pytest.mark.parametrize("fault", FAULTS)
def test_all_reach_the_node_that_works(
    broker: BrokerNode,
    make_consumers: Callable[..., Consumers],
    publishers: list[PublisherThread],
    channel: BlockingChannel,
    queue: str,
    target: Target,
    faulty: Callable[[str], str],
    fault: str,
) -> None:
    url = f"{faulty(fault)},{faulty(fault)},{faulty(fault)},{broker.amqp_url}"
    consumers, publisher = make_consumers(url), start_publisher(publishers, url)
    consumers.deliver(queue, target.url())
    wait_until(lambda: publisher.connected, 15)

    assert publisher.publish([message(queue)], 10).result() == [None]
    target.wait_for(1)
    assert publisher.error is None
    channel.queue_declare(f"{queue}.dlq", durable=True)
    publish_ids(channel, f"{queue}.dlq", ["a", "b"])
    done: list[Progress] = []
    reader = reader_of(broker, BrokerNodes.parse(url), publisher)
    DeadLetterReplay(reader, publisher).run(ReplayRequest(queue_name=queue), Event(), done.append)
    assert done[-1].replayed == 2
    target.wait_for(3)


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_name_with_several_addresses_is_tried_by_all_of_them(
    broker: BrokerNode, publishers: list[PublisherThread], queue: str
) -> None:
    """localhost is ::1, too, where nobody listens."""
    publisher = start_publisher(publishers, f"amqp://guest:guest@localhost:{broker.port}")

    wait_until(lambda: publisher.connected, 15)
    assert publisher.publish([message(queue)], 10).result() == [None]


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_the_error_has_the_reason_of_every_node_without_a_password(
    broker: BrokerNode, publishers: list[PublisherThread], faulty: Callable[[str], str]
) -> None:
    url = f"{faulty('refuses')},{faulty('another login')},{faulty('swallows')},{faulty('closes')}"
    publisher = start_publisher(publishers, url)

    def told() -> str | None:
        error = publisher.error
        return error if error and error.count(";") == 3 else None

    error = wait_until(told, 20)
    assert f"127.0.0.1:{broker.port}: " in error
    assert "refuses the login" in error
    assert "does not speak AMQP 0-9-1" in error
    assert "Connection refused" in error
    assert "no answer in time" in error
    assert "canary" not in error
    with pytest.raises(BrokerUnavailable):
        BrokerNodes.parse(url).connect("test")


def test_connections_move_between_nodes_again_and_again_and_nothing_is_lost(
    broker: BrokerNode,
    make_consumers: Callable[..., Consumers],
    publishers: list[PublisherThread],
    queue: str,
    proxy: Callable[[int], Proxy],
    target: Target,
) -> None:
    """Each node in turn is down, and is back by itself when the other is."""
    nodes = [proxy(broker.port), proxy(broker.port)]
    url = f"amqp://guest:guest@{','.join(f'127.0.0.1:{node.port}' for node in nodes)}"
    consumers, publisher = make_consumers(url), start_publisher(publishers, url)
    consumers.deliver(queue, target.url())
    wait_until(lambda: publisher.connected, 15)
    confirmed: list[str] = []
    for turn in range(6):
        down, up = nodes[turn % 2], nodes[1 - turn % 2]
        up.flow()
        down.refuse()
        wait_until(lambda up=up: up.open_connections == 5, 15)  # type: ignore[misc]
        name = f"m-{turn}"
        wait_until(lambda name=name: publisher.publish([message(queue, name)], 5).result() == [None], 15)  # type: ignore[misc]
        confirmed.append(name)
        wait_delivered(target, confirmed)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("refuses", "Connection refused"),
        ("closes", "the server closed the connection"),
        ("swallows", "no answer in time"),
        ("no name", "not known"),
        ("another login", "RabbitMQ refuses the login"),
    ],
)
def test_a_connection_of_its_own_says_why_it_was_not_opened(
    faulty: Callable[[str], str], fault: str, reason: str
) -> None:
    with pytest.raises(BrokerUnavailable) as alone:
        BrokerNodes.parse(faulty(fault)).connect("test")
    assert reason in alone.value.detail
    assert "canary" not in alone.value.detail
    refusing = f"127.0.0.1:{free_port()}"
    with pytest.raises(BrokerUnavailable) as two:
        BrokerNodes.parse(f"{faulty(fault)},amqp://{refusing}").connect("test")
    assert reason in two.value.detail
    assert f"{refusing}: Connection refused" in two.value.detail
