"""The overview of the service: facts from RabbitMQ, the registry and the workers. It is cached for two seconds, so that
many clients cost no more than one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from domain.consumer_details import STATES
from domain.details import QueueConsumer, QueueDetails
from domain.errors import BrokerUnavailable
from domain.names import OWN
from domain.overview import ConsumerOutline, Overview, QueueOutline, QueueTotals, Trouble
from gateway.amqp.topology import holds_delayed
from gateway.management import ConnectionGateway
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats
from services.consumer_state import Live
from services.delayed import delayed
from services.fresh import Fresh
from services.queue_watch import QueueWatch
from services.registry_copy import RegistryCopy
from services.troubles import dead_letter_queues, of_certificates, of_consumers, of_queues, worst_first

_SHOWN = 100


class Seen(NamedTuple):
    """The ready messages of each queue, None while they are unknown, and the consumers of each queue."""

    backlogs: dict[str, int] | None
    consumers: dict[str, tuple[QueueConsumer, ...]]


class Overviews:
    """Thread-safe."""

    def __init__(
        self,
        registry: ConsumerRegistry,
        heartbeats: Heartbeats,
        watch: QueueWatch,
        connections: ConnectionGateway,
        *,
        kept: float = 2.0,
        wait: float = 0.5,
        patience: float = 10.0,
        notice: timedelta = timedelta(days=14),
    ) -> None:
        """Cache an overview for `kept` seconds. Lists wait at most `wait` seconds for it, because they must not hang
        with RabbitMQ. A consumer without a worker is no trouble until `patience` seconds after its last change. A
        certificate is trouble from `notice` before it expires."""
        self._heartbeats = heartbeats
        self._watch, self._connections = watch, connections
        self._wait = wait
        self._kept, self._patience, self._notice = kept, timedelta(seconds=patience), notice
        self._lock = threading.Lock()
        self._latest: Overview | None = None
        self._made_at = float("-inf")
        self._consumers = RegistryCopy(registry.version, registry.outlines)
        self._seen = Seen(None, {})
        self._recent = Fresh(self._see, "workerrmq-overview", kept=kept)

    def now(self) -> Overview:
        """Return an overview that is at most `kept` seconds old. Raises StoreUnavailable. A broker that is down is one
        of the troubles."""
        with self._lock:
            if self._latest is None or time.monotonic() - self._made_at > self._kept:
                self._latest = self._made()
                self._made_at = time.monotonic()
            return self._latest

    def with_consumers(self, queues: Sequence[QueueDetails]) -> list[QueueDetails]:
        """Return the queues with the consumers that deliver their messages."""
        recent = self._at_hand()
        if recent is None:
            return list(queues)
        return [one.model_copy(update={"delivered_by": recent.consumers.get(one.queue_name, ())}) for one in queues]

    def backlogs(self) -> Mapping[str, int] | None:
        """Return the ready messages of each queue, or None while they are unknown."""
        recent = self._at_hand()
        return None if recent is None else recent.backlogs

    def _at_hand(self) -> Seen | None:
        """Return what was seen in the last seconds, or None if that is unknown."""
        self._recent.ask()
        return self._recent.latest(time.monotonic() + self._wait)

    def _see(self) -> Seen:
        self.now()
        return self._seen

    def _made(self) -> Overview:
        now = datetime.now(UTC)
        consumers = self._consumers.now()
        workers = self._heartbeats.live()
        live = Live(workers)
        troubles: list[Trouble] = []
        queues: list[QueueOutline] | None = None
        try:
            seen = self._watch.look()
            queues = seen.queues
            troubles += of_queues(seen, consumers, live)
            troubles += [
                Trouble(kind="connection_blocked", name=name, reason="The broker has a memory or disk alarm.")
                for name in self._connections.blocked()
            ]
        except BrokerUnavailable as exc:
            troubles.append(Trouble(kind="broker_unavailable", name="broker", reason=exc.detail))
        ready = None if queues is None else {queue.name: queue.ready for queue in queues}
        troubles += of_certificates(consumers, now, self._notice)
        troubles += of_consumers(consumers, live, ready, now, self._patience)
        states = Counter(live.state(one.id, one.desired)[0] for one in consumers)
        self._seen = Seen(ready, _by_queue(consumers, live))
        return Overview(
            at=now,
            workers=len(workers),
            consumers={state: states[state] for state in STATES},
            totals=None if queues is None else _totals(queues),
            troubles=worst_first(troubles)[:_SHOWN],
            trouble_count=len(troubles),
        )


def _by_queue(consumers: Sequence[ConsumerOutline], live: Live) -> dict[str, tuple[QueueConsumer, ...]]:
    found: dict[str, tuple[QueueConsumer, ...]] = {}
    for one in consumers:
        shown = QueueConsumer(name=one.name, state=live.state(one.id, one.desired)[0])
        found[one.queue_name] = (*found.get(one.queue_name, ()), shown)
    return found


def _totals(queues: Sequence[QueueOutline]) -> QueueTotals:
    waiting = delayed(queues)
    queues = [queue for queue in queues if not holds_delayed(queue.name)]
    dead = dead_letter_queues(queues)
    return QueueTotals(
        queues=sum(not queue.name.startswith(OWN) for queue in queues),
        messages=sum(queue.held or 0 for queue in queues),
        ready=sum(queue.ready for queue in queues),
        unacked=sum(queue.unacked for queue in queues),
        dead_letters=sum(queue.held or 0 for queue in queues if queue.name in dead),
        **waiting._asdict(),
        publish_rate=round(sum(queue.publish_rate for queue in queues), 1),
        deliver_rate=round(sum(queue.deliver_rate for queue in queues), 1),
        ack_rate=round(sum(queue.ack_rate for queue in queues), 1),
    )
