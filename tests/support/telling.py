"""The service that tells about conditions, with durations of about a second, in this process or as a separate one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from delivery.conditions import RULES, Rule
from domain.condition import Kind
from gateway.amqp.event_publisher import EventPublisher
from gateway.amqp.nodes import BrokerNodes
from gateway.management import BindingGateway, ExchangeGateway, ManagementClient, QueueGateway, QueueLookup
from gateway.mongo import Store, open_store
from services.history import Recorder
from services.queue_watch import QueueWatch
from services.service_events import EventPeriods, ServiceEvents
from tests.support.management import management_nodes
from tests.support.node import BrokerNode
from tests.support.processes import Process
from tests.support.worker import SECRET

PERIODS = EventPeriods(turn=0.2, lease=2.0)
SHORT: Mapping[Kind, Rule] = {kind: rule._replace(begins=0.5, ends=1.5) for kind, rule in RULES.items()} | {
    "retries.overdue": RULES["retries.overdue"]._replace(begins=8.0, ends=3.0)
}
"""RabbitMQ counts every five seconds; until it has counted a new queue, its retries are taken for overdue."""


def telling(
    store: Store,
    amqp_url: str,
    management_url: str,
    *,
    rules: Mapping[Kind, Rule] = SHORT,
    periods: EventPeriods = PERIODS,
    every: float = 10.0,
) -> ServiceEvents:
    """Return one that is not started."""
    management = ManagementClient(management_nodes(management_url))
    watch = QueueWatch(QueueGateway(management).outlines, growing=2.0, overdue=1.0)
    exchanges, bindings, lookup = ExchangeGateway(management), BindingGateway(management), QueueLookup(management)
    recorder = Recorder(store.history, every=every)
    publish = EventPublisher(BrokerNodes.parse(amqp_url), timeout=5.0).publish
    return ServiceEvents(store, watch, exchanges, bindings, lookup, publish, recorder, rules=rules, periods=periods)


def telling_process(store_uri: str, broker: BrokerNode, directory: Path, *, amqp_port: int = 0) -> Process:
    """Return a process that is not started, which reaches the broker by another port if one is given."""
    url = broker.amqp_url.replace(str(broker.port), str(amqp_port or broker.port))
    arguments = [store_uri, url, broker.management_url, str(directory)]
    return Process(
        [sys.executable, "-m", __name__, *arguments], directory / "telling.log", cwd=Path(__file__).parents[2]
    )


def main(store_uri: str, amqp_url: str, management_url: str, directory: str) -> None:
    """Tell until the process is killed; nothing but the broker's confirms takes long."""
    store = open_store(store_uri, SECRET, Path(directory))
    periods = replace(PERIODS, lease=4.0)
    one = telling(store, amqp_url, management_url, periods=periods)
    one.start()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
