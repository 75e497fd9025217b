"""With a filter and a template, under fire: each message is delivered, forwarded or dead-lettered, and none is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.consumer import ConsumerSpec, RetryPolicy
from domain.filter_pattern import FilterPattern
from domain.message import Message, Properties
from domain.otherwise import Destination, Forward
from domain.payload import PayloadTemplate
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.mongo import open_store
from tests.faults.scene import ids_in
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.target_process import TargetProcess
from tests.support.worker import SECRET, worker_on

pytestmark = pytest.mark.versions

COUNT = 2000


def published(broker: BrokerNode, queue: str) -> tuple[set[str], set[str]]:
    """Orders in a queue: the ids of those that the filter admits, and of the others."""
    publisher = PublisherThread(BrokerNodes.parse(broker.amqp_url))
    publisher.start()
    bodies = [json.dumps({"n": n, "total": n % 3, "pad": "x" * 900}).encode() for n in range(COUNT)]
    orders = [Message(queue, body, properties=Properties(message_id=f"{n}")) for n, body in enumerate(bodies)]
    assert not any(publisher.publish(orders, 60).result())
    publisher.stop()
    return {f"{n}" for n in range(COUNT) if n % 3}, {f"{n}" for n in range(COUNT) if not n % 3}


def renderers(worker: int) -> set[Path]:
    """The processes in which a worker renders templates."""
    children = Path(f"/proc/{worker}/task").glob("*/children")
    processes = {Path("/proc") / one for path in children for one in path.read_text().split()}
    return {one for one in processes if is_renderer(one)}


def is_renderer(process: Path) -> bool:
    try:
        return b"gateway.rendering" in (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return False


def test_each_message_is_delivered_forwarded_or_dead_lettered_though_worker_and_broker_are_killed(
    broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str
) -> None:
    target = TargetProcess(tmp_path / "target")
    uri = store.uri("faults")
    registry = open_store(uri, SECRET, tmp_path)
    process = worker_on(broker, uri, tmp_path)
    small = f"{unique_name}.small"
    try:
        with broker.connect() as connection:
            for name in (unique_name, small):
                connection.channel().queue_declare(name, durable=True)
        admitted, others = published(broker, unique_name)
        seen: set[Path] = set()
        spec = ConsumerSpec(
            queue_name=unique_name,
            url=target.url("/random?fail=0.10&reset=0.01"),
            timeout=2,
            retry=RetryPolicy(schedule=(1, 1, 2, 2, 4)),
            filter=FilterPattern({"body": {"total": {"$gt": 0}}}),
            otherwise=Forward(forward=Destination(routing_key=small)),
            payload=PayloadTemplate(template='{"order": {{ body.n }}, "of": {{ body.total|tojson }}}'),
        )
        registry.consumers.create(spec)
        process.start()
        for share, victim in ((0.15, process), (0.4, broker), (0.7, process)):
            wait_until(lambda share=share: len(target.delivered()) >= share * len(admitted), 200, f"{share:.0%}")
            seen |= renderers(process.pid)
            victim.kill()
            victim.start()

        def settled() -> bool:
            dead, elsewhere = set(ids_in(broker, f"{unique_name}.dlq")), set(ids_in(broker, small))
            return admitted <= set(target.delivered()) | dead and others <= elsewhere | dead

        wait_until(settled, 200, "every message delivered, forwarded or dead-lettered")
        delivered, elsewhere = target.delivered(), ids_in(broker, small)
        assert set(delivered) <= admitted, "what the filter does not admit was sent"
        assert set(elsewhere) <= others, "what the filter admits was forwarded"
        assert not set(ids_in(broker, f"{unique_name}.dlq")) & others, "what cannot be forwarded stays"
        twice = sum(delivered.values()) - len(delivered), sum(elsewhere.values()) - len(elsewhere)
        print(f"{broker.name}: {len(delivered)} delivered, {len(elsewhere)} forwarded, {twice} more than once")
    finally:
        process.stop()
        registry.close()
        target.stop()
    assert seen
    wait_until(lambda: not any(map(is_renderer, seen)), 20, "every renderer has ended with its worker")
