"""Says why messages that go back to a queue would fail again: the state of the queue's consumers."""

from __future__ import annotations

from collections.abc import Collection

from domain.consumer_details import State
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.heartbeats import Heartbeats
from services.consumer_state import Live

_MOST = 5
_THEN: dict[State, str] = {
    "suspended": "The messages wait in the queue until you resume it.",
    "paused": "The messages wait in the queue until you resume it.",
    "waiting": "The messages wait in the queue.",
    "failing": "The messages will probably fail again.",
}


class ReplayWarnings:
    """Thread-safe."""

    def __init__(self, registry: ConsumerRegistry, heartbeats: Heartbeats) -> None:
        self._registry, self._heartbeats = registry, heartbeats

    def of(self, queues: Collection[str]) -> list[str]:
        """Return a sentence for each consumer of these queues that does not deliver now, and for each queue without a
        consumer; at most five. Raises StoreUnavailable."""
        consumers = [one for one in self._registry.outlines() if one.queue_name in queues]
        live = Live(self._heartbeats.live())
        found = [
            f"The queue {queue!r} has no consumer. The messages wait in the queue."
            for queue in sorted(set(queues) - {one.queue_name for one in consumers})
        ]
        for one in consumers:
            state, reason = live.state(one.id, one.desired, one.reason)
            if state in _THEN:
                reason = (reason or live.counts(one.id).error or "").rstrip(".")
                found.append(f"The consumer {one.name!r} is {state}{f': {reason}' if reason else ''}. {_THEN[state]}")
        return found[:_MOST]
