"""Workers are killed while scheduled messages become due: none is lost, none is early."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from domain.errors import PublishRefused
from domain.message import Message, Properties
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from tests.faults.scene import ids_in
from tests.support.drain import take
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.worker import worker_on

pytestmark = pytest.mark.versions

COUNT = 600


@pytest.mark.timeout(180)
def test_workers_that_are_killed_while_messages_become_due_lose_none(
    broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str
) -> None:
    with broker.connect() as connection:
        connection.channel().queue_declare(unique_name, durable=True)
    publisher = PublisherThread(BrokerNodes.parse(broker.amqp_url))
    publisher.start()
    worker = worker_on(broker, store.uri("scheduled"), tmp_path)
    worker.start()
    try:
        began = time.time() + 12  # the levels are five seconds old when they take the first
        due = {f"m-{number}": began + number * 6 / COUNT for number in range(COUNT)}
        messages = [
            Message(unique_name, b"x", properties=Properties(message_id=one), due=at) for one, at in due.items()
        ]
        while messages:  # a queue refuses messages while it elects a leader, as it may on a busy machine
            results = publisher.publish(messages, 60).result()
            assert {type(result) for result in results} <= {type(None), PublishRefused}
            messages = [message for message, result in zip(messages, results, strict=True) if result]
        assert time.time() < began, "the publishes took too long for this test"
        for share in (0.2, 0.5, 0.8):
            wait_until(lambda share=share: time.time() > began + 6 * share, 30)
            worker.kill()
            late = [one for one in ids_in(broker, unique_name) if due[one] > time.time()]
            assert not late
            worker.start()
        wait_until(lambda: len(ids_in(broker, unique_name)) == COUNT, 60)
    finally:
        worker.kill()
        publisher.stop()
    assert {properties.message_id for _, properties, _ in take(broker, unique_name)} == due.keys()
