"""The service starts whether RabbitMQ and MongoDB are there or not, says plainly what is missing, and heals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api.host import Host
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.target import Target


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_the_service_first_and_broker_and_store_after(
    make_host: Callable[..., Host], broker: BrokerNode, store: StoreNode, target: Target, unique_name: str
) -> None:
    store.stop()
    broker.stop()
    host = make_host()
    found = wait_until(
        lambda: (ready := host.ready()) and "MongoDB" in ready["dependencies"]["store"]["detail"] and ready, 20
    )
    assert found["code"] == "not_ready"
    assert found["detail"] == "Not ready. Down: store, broker, management."
    sentences = {name: state["detail"] for name, state in found["dependencies"].items()}
    assert "MongoDB cannot be reached" in sentences["store"]
    assert "RABBITMQ_MANAGEMENT_URL" in sentences["management"]
    assert sentences["broker"]
    assert found["workers"] is None
    [said] = wait_until(lambda: host.lines(host.worker, "dependency_unavailable"), 20)
    assert said["dependency"] == "store"
    assert "MongoDB cannot be reached" in said["reason"]
    [lost, *_] = wait_until(lambda: host.lines(host.worker, "broker_connection_lost"), 20)
    assert lost["reason"] == "Connection refused"

    broker.start()
    wait_until(lambda: host.ready()["dependencies"]["broker"]["up"], 30, "the broker being found")
    store.start()
    host.wait_ready()
    host.post("/createQueue", queueName=unique_name)
    host.post("/createConsumer", queueName=unique_name, url=target.url())
    host.post("/messagePublish", queueName=unique_name, message="x")
    target.wait_for(1, 20)
    available = wait_until(lambda: host.lines(host.worker, "dependency_available"), 20)
    assert available[0]["dependency"] == "store"
    found = host.ready()
    assert all(state["up"] and state["milliseconds"] >= 0 for state in found["dependencies"].values())
    assert found["workers"]["live"] == 1
    assert 0 <= found["workers"]["latestHeartbeatSeconds"] <= found["workers"]["oldestHeartbeatSeconds"] < 5
    assert found["workers"]["detail"] is None

    host.worker.stop()
    wait_until(lambda: host.ready()["workers"]["live"] == 0, 20, "the worker's absence")
    found = host.ready()
    assert found["status"] == "ready", "the API works without a worker"
    assert found["workers"]["enabledConsumers"] == 1
    assert "No worker is alive" in found["workers"]["detail"]
