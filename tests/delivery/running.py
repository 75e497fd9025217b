"""A ConsumerThread as tests steer it: consumers come, change and go by id, and what it reports can be waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from delivery.periods import Periods
from delivery.target_guard import Guard
from domain.consumer import ConsumerSpec
from domain.registry import QueueFacts, Report, Subscription
from domain.router import Route, consumers_of, router_of
from domain.signing_secret import RetiringSecret
from gateway.amqp.nodes import BrokerNodes
from gateway.consuming.thread import ConsumerThread
from gateway.http.egress import DIRECT, Egress
from gateway.rendering.renderer import RenderLimits
from tests.support.processes import wait_until

AT_ONCE: dict[str, Any] = {"schedule": (), "jitter": 0}
"""No retry: what fails is dead-lettered."""
ONE_SECOND: dict[str, Any] = {"schedule": (1,), "jitter": 0}
"""One retry, after a second."""


NEVER_OPEN: dict[str, Any] = {"failures": 10_000}
"""A breaker that stays out of tests which are about something else."""


class Consumers:
    """Started at once. Used by one thread."""

    def __init__(
        self,
        url: str,
        guard: Guard | None = None,
        periods: Periods = Periods(),  # noqa: B008
        egress: Egress = DIRECT,
        limits: RenderLimits = RenderLimits(),  # noqa: B008
    ) -> None:
        if periods.settling == Periods().settling:  # most tests kill no broker that is seconds old
            periods = replace(periods, settling=0)
        nodes = BrokerNodes.parse(url)
        self.thread = ConsumerThread(nodes, "test-consumer", guard, periods=periods, egress=egress, limits=limits)
        self._desired: dict[str, Subscription] = {}
        self._revisions: Counter[str] = Counter()  # grow as the registry's, also when a consumer is removed between
        self.thread.start()

    def run(
        self,
        queue: str,
        url: str,
        *,
        facts: QueueFacts = QueueFacts(),  # noqa: B008
        key: str = "",
        retiring: tuple[RetiringSecret, ...] = (),
        **fields: Any,
    ) -> None:
        """Run a consumer of `queue`, or change the one that runs; see `wait`."""
        key = key or queue
        fields.setdefault("breaker", NEVER_OPEN)
        self._want(key, ConsumerSpec(queue_name=queue, url=url, **fields), facts, retiring)
        self.apply()

    def route(
        self,
        queue: str,
        url: str,
        routes: Sequence[Route],
        *,
        facts: QueueFacts = QueueFacts(),  # noqa: B008
        **fields: Any,
    ) -> None:
        """Run a consumer with routes, and those of the routes, or change them; does not wait. Their keys are their
        queues. A route that is not given again runs no more."""
        whole = ConsumerSpec(queue_name=queue, url=url, **fields).model_copy(update={"routes": tuple(routes)})
        wanted = [*consumers_of(whole), router_of(whole)]
        for key in [one for one in self._desired if one.startswith(f"{queue}.")]:
            if key not in {spec.queue_name for spec in wanted}:
                del self._desired[key]
        for spec in wanted:
            self._want(spec.queue_name, spec, facts, ())
        self.apply()

    def _want(self, key: str, spec: ConsumerSpec, facts: QueueFacts, retiring: tuple[RetiringSecret, ...]) -> None:
        self._revisions[key] += 1
        self._desired[key] = Subscription(key, self._revisions[key], spec, facts, retiring_secrets=retiring)

    def spec(self, key: str) -> ConsumerSpec:
        """Return the latest definition of a consumer."""
        return self._desired[key].spec

    def deliver(self, queue: str, url: str, **fields: Any) -> None:
        """As `run`, and wait until it takes messages."""
        self.run(queue, url, **fields)
        revision = self._desired[fields.get("key") or queue].revision
        self.wait(fields.get("key") or queue, "running", "failing", "throttled", revision=revision)

    def remove(self, key: str) -> None:
        """Run this one no more; does not wait."""
        del self._desired[key]
        self.apply()

    def apply(self) -> None:
        """Say again what shall run, as a worker does every second."""
        self.thread.apply(list(self._desired.values()))

    def report(self, key: str) -> Report | None:
        """Return the thread's latest report on a consumer; None without one."""
        return next((one for one in self.thread.snapshot().consumers if one.consumer_id == key), None)

    def wait(self, key: str, *states: str, timeout: float = 25, revision: int = 0) -> Report:
        """Wait until a consumer is reported to be in one of these states."""

        def reached() -> Report | None:
            report = self.report(key)
            return report if report and report.state in states and report.revision >= revision else None

        try:
            return wait_until(reached, timeout)
        except AssertionError:
            raise AssertionError(f"{key} is not {' or '.join(states)}, but {self.report(key)}") from None

    def end(self, deadline: float = 0) -> None:
        """Stop, and fail when the thread does not end."""
        self.thread.stop(deadline)
        assert self.thread.join(deadline + 10), "the consumer thread did not end"
