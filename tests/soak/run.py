"""A soak on one broker: publishes to every feature, disturbs it, and counts at the end where each id is.

One thread runs it; publishers and targets run in separate threads. Every wait has a deadline.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.soak.features import REPLIES, Feature, features
from tests.soak.ledger import Ledger, Row
from tests.support.deployment import Deployment, deployed
from tests.support.node import BrokerNode
from tests.support.target import Target
from tests.support.traffic import Publisher

_CHANGED: dict[str, Any] = {"queueName": "soak-changed"}
_CHANGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/pauseConsumer", _CHANGED),
    ("/resumeConsumer", _CHANGED),
    ("/updateConsumer", {**_CHANGED, "prefetch": 8}),
    ("/updateConsumer", {**_CHANGED, "prefetch": 64}),
)


@dataclass(frozen=True)
class Plan:
    """`seconds` in all, messages `per_second` to each feature, and the two long delays of retries in seconds."""

    seconds: float
    per_second: float
    short: float
    long: float

    @property
    def settling(self) -> float:
        """Seconds at the end without publishing: two short delays or one long delay, rounded up, and 15 s more."""
        return max(2 * self.short, self.long) * 1.35 + 15


class Soak:
    """`log` gets a line a minute, and each answer that should not have been."""

    def __init__(self, broker: BrokerNode, plan: Plan, directory: Path, log: Callable[[str], None]) -> None:
        self.refusals: Counter[str] = Counter()
        self._broker = broker
        self._plan = plan
        self._directory = directory
        self._log = log
        self._features = features(plan.short, plan.long)

    def run(self) -> list[Row]:
        """Run it, and return what became of the messages of each feature."""
        with ExitStack() as stack:
            targets = {name: stack.enter_context(Target()) for name in ("usual", "throttling", "failing")}
            service = stack.enter_context(deployed(self._directory, self._broker.settings))
            self._declare(service, targets)
            publishers = {one.name: self._publisher(service, one) for one in self._features}
            for publisher in publishers.values():
                stack.callback(publisher.stop)
            ledger = Ledger(self._features, publishers, targets)
            self._disturb(service, targets["failing"], ledger, self._plan.seconds - self._plan.settling)
            for publisher in publishers.values():
                publisher.stop()
            targets["failing"].answer = 200
            self._ask(service, "/resumeConsumer", _CHANGED)
            self._settle(service, ledger, self._plan.settling + 120)
            return ledger.rows()

    def _declare(self, service: Deployment, targets: dict[str, Target]) -> None:
        service.done("/createQueue", queueName=REPLIES)
        for one in self._features:
            service.done("/createQueue", queueName=one.queue_name, **one.queue)
            if one.consumer is not None:
                url = targets[one.target].url(one.path)
                service.done("/createConsumer", queueName=one.queue_name, url=url, **one.consumer)

    def _publisher(self, service: Deployment, one: Feature) -> Publisher:
        def message(number: int) -> dict[str, Any]:
            return {"queueName": one.queue_name, **one.message(number)}

        return Publisher(service, one.name, self._plan.per_second, message)

    def _disturb(self, service: Deployment, failing: Target, ledger: Ledger, seconds: float) -> None:
        """Look, replay, change consumers and fail, each at its own pace."""
        changes = itertools.cycle(_CHANGES)
        answers = itertools.cycle((500, 200))

        def fail() -> None:
            failing.answer = next(answers)

        actions: list[tuple[float, Callable[[], None]]] = [
            (5, lambda: self._look(service)),
            (7, lambda: self._ask(service, *next(changes))),
            (11, lambda: self._replay(service)),
            (13, fail),
            (60, lambda: self._progress(ledger)),
        ]
        began = time.monotonic()
        due = [began + period for period, _ in actions]
        while min(due) < began + seconds:
            turn = due.index(min(due))
            time.sleep(max(0.0, due[turn] - time.monotonic()))
            period, action = actions[turn]
            action()
            due[turn] = time.monotonic() + period

    def _look(self, service: Deployment) -> None:
        """Peek into all queues and their dead letters: looking must change nothing."""
        for one in self._features:
            for name in (one.queue_name, f"{one.queue_name}.dlq"):
                self._ask(service, "/getMessages", {"queueName": name, "count": 20, "ackMode": "peek"})

    def _replay(self, service: Deployment) -> None:
        for one in self._features:
            if one.replayed:
                self._ask(service, "/replayDeadLetters", {"queueName": one.queue_name})

    def _ask(self, service: Deployment, path: str, body: dict[str, Any]) -> None:
        """One request. A 404 is no refusal: not every queue has dead letters yet."""
        try:
            answer = service.post(path, body)
        except requests.RequestException as exc:
            self._refused(f"{path}: {type(exc).__name__}")
        else:
            if not answer.ok and answer.status_code != 404:
                self._refused(f"{path} {body}: {answer.status_code} {answer.text}")

    def _refused(self, what: str) -> None:
        self.refusals[what] += 1
        if self.refusals[what] == 1:
            self._log(what)

    def _progress(self, ledger: Ledger) -> None:
        rows = ledger.rows()
        counts = {name: sum(getattr(row, name) for row in rows) for name in ("accepted", "delivered", "duplicates")}
        under_way = sum(len(row.missing) for row in rows)
        failed = sum(row.failed for row in rows)
        self._log(f"{counts}, {under_way} under way, {failed} publishes failed, {self.refusals.total()} refusals")

    def _settle(self, service: Deployment, ledger: Ledger, seconds: float) -> None:
        """Wait until every id is found, and then take what still lies in any queue."""
        deadline = time.monotonic() + seconds
        report = time.monotonic() + 60
        while time.monotonic() < deadline:
            self._replay(service)
            ledger.collect(self._broker)
            if not any(row.missing for row in ledger.rows()):
                return
            if time.monotonic() > report:
                self._progress(ledger)
                report += 60
            time.sleep(2)
        ledger.collect(self._broker, everything=True)
