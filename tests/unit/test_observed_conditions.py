"""The service observes conditions in the registry, in the workers' reports and in RabbitMQ's queues."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from domain.condition import Key, Kind, Observed
from domain.overview import ConsumerOutline, QueueOutline, QueuesSeen
from domain.registry import Actual, Heartbeat, Report
from services.conditions import UNKNOWN_WITHOUT_BROKER, observed
from services.consumer_state import Live

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUSPENDED, BROKEN = Key("consumer.suspended", "id"), Key("breaker.opened", "id")
NOTHING: dict[Key, Observed | None] = {}


def consumer(desired: Any = "enabled", queue: str = "orders", reason: str | None = None) -> ConsumerOutline:
    return ConsumerOutline("id", "orders-erp", queue, desired, reason, NOW)


def live(*states: Actual) -> Live:
    """One worker for each state of the consumer; none of it for no state."""
    return Live(
        [Heartbeat(f"w{n}", NOW, NOW, True, (Report("id", 1, state, "why"),)) for n, state in enumerate(states)]
        or [Heartbeat("w", NOW, NOW, True, ())]
    )


def queue(name: str, ready: int = 0, held: int | None = 0, **fields: Any) -> QueueOutline:
    plain = {"unacked": 0, "dead_lettering": 0, "consumers": 1, "publish_rate": 0, "deliver_rate": 0, "ack_rate": 0}
    return QueueOutline(
        name=name, ready=ready, held=held, **{**plain, "dead_letter_queue": None, "oldest_at": None, **fields}
    )


def seen(*queues: QueueOutline, stuck: dict[str, int | None] | None = None) -> QueuesSeen:
    return QueuesSeen(list(queues), {}, stuck or {})


@pytest.mark.parametrize(
    ("one", "workers", "found"),
    [
        (consumer(), live("running"), NOTHING),
        (consumer(), live("failing"), NOTHING),
        (consumer(), live("throttled"), NOTHING),  # the target asked for it
        (consumer(), live(), {SUSPENDED: None, BROKEN: None}),
        (consumer("paused"), live("breaker-open"), NOTHING),  # not for long
        (consumer("paused"), live(), NOTHING),
        (consumer("suspended", reason="HTTP 401"), live(), {SUSPENDED: "HTTP 401"}),
        (consumer("suspended", reason="HTTP 401"), Live([]), {SUSPENDED: "HTTP 401"}),
        (consumer(), live("running", "suspended"), {SUSPENDED: "why"}),
        (consumer(), live("running", "breaker-open"), {BROKEN: "why"}),
        (consumer(), live("probing"), {BROKEN: "why"}),
    ],
)
def test_consumers(one: ConsumerOutline, workers: Live, found: dict[Key, Any]) -> None:
    told = observed([one], workers, seen(), ())
    assert {key: one and one.reason for key, one in told.items()} == found
    assert {(one.name, one.queue_name) for one in told.values() if one} <= {("orders-erp", "orders")}


@pytest.mark.parametrize(
    ("one", "workers", "holds"),
    [
        (consumer(), Live([]), True),
        (consumer("paused"), Live([]), False),
        (consumer("suspended"), Live([]), False),
        (consumer(), live(), False),
    ],
)
def test_a_worker_is_missing_when_there_is_something_to_deliver(
    one: ConsumerOutline, workers: Live, holds: bool
) -> None:
    for queues in (seen(), None):
        assert (Key("worker.none") in observed([one], workers, queues, ())) is holds


def test_without_the_management_api_only_workers_are_known() -> None:
    assert observed([consumer("suspended")], live("breaker-open"), None, ()) == {}
    assert {"worker.none"} == set(get_args(Kind)) - UNKNOWN_WITHOUT_BROKER


def test_dead_letters_by_their_queue() -> None:
    queues = seen(
        queue("orders", 9, dead_letter_queue="failed"),
        queue("failed", 2, 3, unacked=1),
        queue("orders.dlq", 5, 5),
        queue("unknown.dlq", 0, None),
    )
    found = observed([], live(), queues, ())
    assert {key.subject: one and one.level for key, one in found.items()} == {
        "failed": 3,
        "orders.dlq": 5,
        "unknown.dlq": None,
    }


def test_consumers_of_events_and_their_dead_letters_cause_no_events() -> None:
    queues = seen(
        queue("alerts", 9, dead_letter_queue="failed"),
        queue("failed", 1, 1),
        queue("alerts.dlq", 1, 1),
        queue("orders.dlq", 1, 1),
    )
    for one, workers in ((consumer("suspended", "alerts"), live()), (consumer("enabled", "alerts"), live("probing"))):
        assert observed([one], workers, queues, {"alerts"}).keys() == {Key("deadletters.grew", "orders.dlq")}


def test_retries_are_overdue_when_they_are_a_problem() -> None:
    stuck = {"workerrmq.delay.3": 7, "workerrmq.scheduled.3": 7, "other": 7}
    queues = [queue(name) for name in stuck]
    found = observed([], live(), seen(*queues, stuck=stuck), ())
    assert found.keys() == {Key("retries.overdue")}
    assert (one := found[Key("retries.overdue")]) is not None
    assert one.name == "workerrmq.delay.3"
    assert "rebalance" in one.reason
