"""A queue whose node is down is not a missing queue: it is 503, with Retry-After, on every route."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from app import create_app
from tests.api.conftest import end, settings_for
from tests.api.service import Service, assert_problem
from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.store import StoreNode

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture
def service(cluster: Cluster, store: StoreNode, tmp_path: Path) -> Iterator[Service]:
    """A service that knows the first node only: the others go down."""
    first = cluster.nodes[0]
    places = {"rabbitmq_url": first.amqp_url, "rabbitmq_management_url": first.management_url}
    app = create_app(settings_for(tmp_path / "var", mongo_uri=store.uri("down"), publish_timeout=3, **places))
    one = Service(app)
    wait_until(lambda: one.get("/health/ready").status_code == 200, 15)
    yield one
    end(app)


def knows_that_it_is_down(node: RabbitNode, queue: str) -> bool:
    """Return whether a node has recorded that a queue is down. Until then, it carries out a deletion of the queue."""
    if node.name == "rabbitmq4":  # it answers a declaration only after a timeout, and without that reason
        found = f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>))'
        return node.evaluate(f"{found}, rabbit_process:is_process_alive(amqqueue:get_pid(Q)).") == "false"
    try:
        with node.connect() as connection:
            connection.channel().queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker as exc:
        return "is down" in exc.reply_text
    return False


@pytest.mark.parametrize("cluster", ["rabbitmq4", "rabbitmq"], indirect=True)
def test_every_route_tells_a_down_node_from_a_missing_queue(cluster: Cluster, service: Service) -> None:
    doomed = cluster.nodes[2]
    with doomed.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for name in ("orders", "orders.dlq"):
            channel.queue_declare(name, durable=True)
        channel.exchange_declare("events", "topic", durable=True)
        channel.queue_bind("orders", "events", "order.*")
        channel.basic_publish("", "orders.dlq", b"dead", pika.BasicProperties(delivery_mode=2))
    doomed.kill()
    wait_until(lambda: knows_that_it_is_down(cluster.nodes[0], "orders"), 30)
    queue = {"queueName": "orders"}
    binding = {"exchange": "events", "queueName": "orders", "routingKey": "order.*"}
    wait_until(lambda: service.get("/getQueue", queueName="orders").status_code == 503, 30)
    [listed] = [one for one in service.get("/getQueues").get_json() if one["queueName"] == "orders"]
    assert listed["state"] == "down"

    answers = {
        "getQueue": service.get("/getQueue", queueName="orders"),
        "createQueue": service.post("/createQueue", queue),
        "purgeQueue": service.post("/purgeQueue", queue),
        "getMessages": service.post("/getMessages", queue),
        "replayDeadLetters": service.post("/replayDeadLetters", queue),
        "dryRun": service.post("/replayDeadLetters", queue | {"dryRun": True}),
        "getBindings": service.get("/getBindings", queueName="orders"),
        "deleteQueue": service.delete("/deleteQueue", queue | {"ifUnused": True}),
    }
    if cluster.nodes[0].name == "rabbitmq":  # RabbitMQ 4 changes bindings of a queue whose node is down
        answers["bindQueue"] = service.post("/bindQueue", binding | {"routingKey": "more"})
        answers["unbindQueue"] = service.post("/unbindQueue", binding)
    for route, answer in answers.items():
        assert answer.status_code == 503, (route, answer.get_json())
        assert_problem(answer, 503, "queue_unavailable", "orders")
        assert int(answer.headers["Retry-After"]) > 0, route

    key = {"Idempotency-Key": "once"}
    ways = (queue, {"exchange": "events", "routingKey": "order.new"})
    for way in ways:
        answer = service.post("/messagePublish", way | {"message": "x"}, headers=key if way is queue else None)
        assert answer.status_code in (503, 504), answer.get_json()
        assert answer.status_code == 504 or int(answer.headers["Retry-After"]) > 0
    assert_problem(service.post("/messagePublish", {"queueName": "nowhere", "message": "x"}), 422, "unroutable")
    created = service.post("/createConsumer", queue | {"url": "http://127.0.0.1:9/"})
    assert any("orders" in warning for warning in created.get_json()["warnings"])

    cluster.revive(doomed)
    again = queue | {"message": "x"}
    wait_until(lambda: service.post("/messagePublish", again, headers=key).status_code == 200, 30)
    assert service.get("/getQueue", queueName="orders").status_code == 200
    wait_until(lambda: len(service.post("/getMessages", {"queueName": "orders.dlq"}).get_json()) == 1, 20)
