"""What is going on now: what RabbitMQ, the registry and the workers say, put together. Kept for two seconds, so that
many who look cost no more than one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from domain.consumer_details import STATES
from domain.errors import BrokerUnavailable
from domain.overview import ConsumerOutline, Overview, QueueOutline, QueueTotals, Trouble
from gateway.amqp.topology import holds_retries
from gateway.management import ConnectionGateway, QueueGateway
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats
from services.consumer_state import Live
from services.troubles import dead_letter_queues, of_consumers, of_queues, worst_first

_KEPT = 2.0  # seconds
_SHOWN = 100


class Overviews:
    """Thread-safe."""

    def __init__(
        self,
        registry: ConsumerRegistry,
        heartbeats: Heartbeats,
        queues: QueueGateway,
        connections: ConnectionGateway,
    ) -> None:
        self._registry, self._heartbeats = registry, heartbeats
        self._queues, self._connections = queues, connections
        self._lock = threading.Lock()
        self._latest: Overview | None = None
        self._made_at = float("-inf")
        self._consumers: list[ConsumerOutline] = []
        self._version: int | None = None

    def now(self) -> Overview:
        """At most two seconds old. Raises StoreUnavailable; that the broker is away is in it."""
        with self._lock:
            if self._latest is None or time.monotonic() - self._made_at > _KEPT:
                self._latest = self._made()
                self._made_at = time.monotonic()
            return self._latest

    def _made(self) -> Overview:
        now = datetime.now(UTC)
        consumers = self._read_consumers()
        workers = self._heartbeats.live()
        live = Live(workers)
        troubles: list[Trouble] = []
        queues: list[QueueOutline] | None = None
        try:
            queues = self._queues.outlines()
            troubles += of_queues(queues, consumers)
            troubles += [
                Trouble(kind="connection_blocked", name=name, reason="The broker is short of memory or disk.")
                for name in self._connections.blocked()
            ]
        except BrokerUnavailable as exc:
            troubles.append(Trouble(kind="broker_unavailable", name="broker", reason=exc.detail))
        ready = {queue.name: queue.ready for queue in queues or ()}
        troubles += of_consumers(consumers, live, ready, now)
        states = Counter(live.state(one.id, one.desired)[0] for one in consumers)
        return Overview(
            at=now,
            workers=len(workers),
            consumers={state: states[state] for state in STATES},
            totals=None if queues is None else _totals(queues),
            troubles=worst_first(troubles)[:_SHOWN],
            trouble_count=len(troubles),
        )

    def _read_consumers(self) -> list[ConsumerOutline]:
        version = self._registry.version()
        if version != self._version:
            self._consumers, self._version = self._registry.outlines(), version
        return self._consumers


def _totals(queues: Sequence[QueueOutline]) -> QueueTotals:
    retries = sum(queue.ready for queue in queues if holds_retries(queue.name))
    queues = [queue for queue in queues if not holds_retries(queue.name)]
    dead = dead_letter_queues(queues)
    ready, unacked = sum(queue.ready for queue in queues), sum(queue.unacked for queue in queues)
    return QueueTotals(
        queues=len(queues),
        messages=ready + unacked,
        ready=ready,
        unacked=unacked,
        dead_letters=sum(queue.ready + queue.unacked for queue in queues if queue.name in dead),
        retries=retries,
        publish_rate=round(sum(queue.publish_rate for queue in queues), 1),
        deliver_rate=round(sum(queue.deliver_rate for queue in queues), 1),
        ack_rate=round(sum(queue.ack_rate for queue in queues), 1),
    )
