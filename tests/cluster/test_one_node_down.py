"""One node of three is down: quorum queues go on, and what lies on the node is unavailable, not missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.deployment import Deployment, deployed
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.xdist_group("cluster")


def declare_classic(cluster: Cluster, at: int, *names: str) -> None:
    """Durable classic queues that live on one node."""
    with cluster.nodes[at].connect() as connection:
        for name in names:
            connection.channel().queue_declare(name, durable=True, arguments={"x-queue-type": "classic"})


@pytest.mark.parametrize("cluster", [pytest.param("rabbitmq4", marks=pytest.mark.soak), "rabbitmq"], indirect=True)
@pytest.mark.timeout(600)
def test_deliveries_go_on_and_a_queue_of_the_dead_node_is_unavailable_until_it_is_back(
    cluster: Cluster, target: Target, tmp_path: Path
) -> None:
    target.answer = lambda request: 422 if b"reject" in request.body else 200
    declare_classic(cluster, 0, "here")
    declare_classic(cluster, 2, "there", "here.dlq")
    # As an earlier version made it, on the node that dies.
    declare_classic(cluster, 2, "workerrmq.orphaned")
    with deployed(tmp_path / "before", cluster.settings) as service:
        service.done("/createQueue", queueName="orders", type="quorum")
        service.done("/messagePublish", queueName="there", message="kept")
    cluster.nodes[2].kill()
    wait_until(lambda: cluster.running(cluster.nodes[0]) == 2, 60)

    with deployed(tmp_path / "after", cluster.settings) as service:
        for queue in ("orders", "here"):
            retry = {"schedule": [1], "jitter": 0}
            service.done("/createConsumer", queueName=queue, url=target.url(), retry=retry)
            service.done("/messagePublish", queueName=queue, message=f"to {queue}")
        wait_until(lambda: {b"to orders", b"to here"} <= {request.body for request in target.requests}, 60)
        unavailable_not_missing(service, "there")
        service.done("/messagePublish", queueName="here", message="reject this")
        service.done("/messagePublish", queueName="here", message="goes on")
        wait_until(lambda: b"goes on" in {request.body for request in target.requests}, 30)

        cluster.revive(cluster.nodes[2])
        wait_until(lambda: published(service, "there", "once"), 60)
        wait_until(lambda: [one["message"] for one in peeked(service, "here.dlq")] == ["reject this"], 90)
        assert [one["message"] for one in peeked(service, "there")][:1] == ["kept"]


def unavailable_not_missing(service: Deployment, queue: str) -> None:
    """Every route says 503 with Retry-After, also where a key would keep the answer."""
    body = {"queueName": queue, "message": "x"}
    answers = {
        "publish": service.post("/messagePublish", body, Idempotency_Key="once"),
        "batch": service.post("/messagePublish", {"messages": [body, body]}),
        "get": service.web.call("GET", "/getQueue", service.token, params={"queueName": queue}),
        "peek": service.post("/getMessages", {"queueName": queue}),
        "purge": service.post("/purgeQueue", {"queueName": queue}),
        "replay": service.post("/replayDeadLetters", {"queueName": queue, "deadLetterQueue": queue}),
    }
    statuses = {name: answer.status_code for name, answer in answers.items()}
    if statuses["get"] == 200:  # RabbitMQ 4 describes such a queue
        del statuses["get"]
    assert set(statuses.values()) == {503}, {name: answer.text for name, answer in answers.items()}
    assert all("Retry-After" in answers[name].headers for name in statuses)


def published(service: Deployment, queue: str, key: str) -> bool:
    body = {"queueName": queue, "message": "x"}
    return service.post("/messagePublish", body, Idempotency_Key=key).ok


def peeked(service: Deployment, queue: str) -> list[dict[str, object]]:
    answer = service.post("/getMessages", {"queueName": queue, "count": 10, "ackMode": "peek"})
    return list(answer.json()) if answer.ok else []
