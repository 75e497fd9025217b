"""Deleting a queue on a condition: refused where RabbitMQ cannot check it, and then nothing is deleted."""

from __future__ import annotations

import pytest

from tests.api.service import Service, assert_problem
from tests.conftest import REAL_BROKERS
from tests.support.amqp import publish_confirmed
from tests.support.node import BrokerNode


def test_a_delete_can_be_kept_from_costing_messages_or_consumers(service: Service, broker: BrokerNode) -> None:
    service.post("/createQueue", {"queueName": "dear"})
    service.post("/messagePublish", {"queueName": "dear", "message": "do not lose me"})
    assert_problem(service.delete("/deleteQueue", {"queueName": "dear", "ifEmpty": True}), 412, "queue_not_empty")
    with broker.connect() as connection:
        connection.channel().basic_consume("dear", lambda *_: None)
        assert_problem(service.delete("/deleteQueue", {"queueName": "dear", "ifUnused": True}), 412, "queue_in_use")
    assert service.get("/getQueue", queueName="dear").status_code == 200


@pytest.mark.parametrize("conditions", [("ifEmpty",), ("ifUnused",), ("ifEmpty", "ifUnused")])
def test_a_condition_that_rabbitmq_does_not_check_for_a_quorum_queue_is_refused_and_the_queue_stays(
    service: Service, conditions: tuple[str, ...]
) -> None:
    service.post("/createQueue", {"queueName": "dear", "type": "quorum"})
    body = {"queueName": "dear", **dict.fromkeys(conditions, True)}
    problem = assert_problem(service.delete("/deleteQueue", body), 400, "refused_by_broker", "quorum")
    assert [one["field"] for one in problem["errors"]] == [*conditions]
    assert service.get("/getQueue", queueName="dear").status_code == 200
    assert service.delete("/deleteQueue", {"queueName": "dear"}).status_code == 200


@pytest.mark.parametrize("broker", REAL_BROKERS, indirect=True)  # the embedded broker has no streams
def test_a_stream_with_messages_is_not_deleted_though_rabbitmq_ignores_the_condition(
    service: Service, broker: BrokerNode
) -> None:
    with broker.connect() as connection:
        channel = connection.channel()
        channel.queue_declare("dear", durable=True, arguments={"x-queue-type": "stream"})
        publish_confirmed(channel, "dear", b"do not lose me")
    assert_problem(service.delete("/deleteQueue", {"queueName": "dear", "ifEmpty": True}), 400, "refused_by_broker")
    assert service.get("/getQueue", queueName="dear").status_code == 200
