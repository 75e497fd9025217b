"""Where each id of a soak is: accepted = delivered ∪ dead-lettered ∪ queued."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.soak.features import REPLIES, Feature
from tests.support.node import BrokerNode
from tests.support.target import Target
from tests.support.traffic import Publisher, take_ids

_LEVELS = [f"workerrmq.delay.{level}" for level in range(29)]
_EVERYBODYS = [*_LEVELS, "workerrmq.due", "workerrmq.overdue", "workerrmq.orphans"]


@dataclass(frozen=True)
class Row:
    """The fates of the messages of one feature. `failed` counts publishes that were not answered 200."""

    feature: str
    accepted: int
    delivered: int
    dead: int
    queued: int
    missing: tuple[str, ...]
    duplicates: int
    failed: int


class Ledger:
    """Counts while publishers and targets go on; used by one thread."""

    def __init__(
        self, features: tuple[Feature, ...], publishers: Mapping[str, Publisher], targets: Mapping[str, Target]
    ) -> None:
        self._features = features
        self._publishers = publishers
        self._targets = targets
        self._dead: set[str] = set()
        self._queued: set[str] = set()
        self._replies: Counter[str] = Counter()

    def collect(self, broker: BrokerNode, everything: bool = False) -> None:
        """Take the messages of queues that nobody consumes, or, at the end, of all queues, and remember their ids."""
        for one in self._features:
            if everything or not one.replayed:
                self._dead |= {*take_ids(broker, f"{one.queue_name}.dlq")}
            if everything or one.consumer is None:
                self._queued |= {*take_ids(broker, one.queue_name)}
        self._replies += take_ids(broker, REPLIES, by="correlation_id")
        if everything:
            for queue in _EVERYBODYS:
                self._queued |= {*take_ids(broker, queue)}

    def rows(self) -> list[Row]:
        """One for each feature, and one for the replies, by the id of the message that was delivered."""
        rows = [self._row(one) for one in self._features]
        asked = {*self._delivered("replied", "usual")}
        there = asked & {*self._replies}
        twice = self._replies.total() - len(self._replies)
        return [*rows, Row("replies", len(asked), len(there), 0, 0, tuple(sorted(asked - there)), twice, 0)]

    def _row(self, one: Feature) -> Row:
        publisher = self._publishers[one.name]
        accepted = set(publisher.accepted)
        counted = self._delivered(one.name, one.target)
        delivered, dead, queued = accepted & {*counted}, accepted & self._dead, accepted & self._queued
        missing = tuple(sorted(accepted - delivered - dead - queued))
        twice = counted.total() - len(counted)
        return Row(one.name, len(accepted), len(delivered), len(dead), len(queued), missing, twice, publisher.failed)

    def _delivered(self, feature: str, target: str) -> Counter[str]:
        """How many requests were answered 2xx, by id. An id is its feature's name, a hyphen and a number."""
        every = self._targets[target].delivered().items()
        return Counter({identity: count for identity, count in every if identity.rpartition("-")[0] == feature})
