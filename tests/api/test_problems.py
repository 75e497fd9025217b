"""The problems of GET /getOverview: their cause for programs, since when they last, and who has acknowledged them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from delivery.refusals import SUSPEND_AFTER
from domain.overview import Overview
from domain.registry import Heartbeat, Report
from gateway.management import ConnectionGateway, ManagementClient, QueueGateway
from gateway.mongo.problems import Problems as ProblemStore
from services.overview import Overviews
from services.problems import Problems
from services.queue_watch import QueueWatch
from tests.api.consumers import create_consumer
from tests.api.service import Service, assert_problem
from tests.support.management import management_nodes
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.broker_independent

Looking = Callable[..., Service]


@pytest.fixture
def looking(make_service: Callable[..., Service], broker: BrokerNode) -> Iterator[Looking]:
    """Makes services whose every look is a new one. A problem is over after `over` seconds; the service looks on its
    own `every` seconds."""
    started: list[Problems] = []

    def make(*, over: float = 120, every: float = 3600, **settings: Any) -> Service:
        service = make_service(**settings)
        management = ManagementClient(management_nodes(broker.management_url))
        overviews = Overviews(
            service.store.consumers,
            service.store.heartbeats,
            QueueWatch(QueueGateway(management).outlines),
            ConnectionGateway(management),
            kept=0,
        )
        store = ProblemStore(
            service.store.problems._database, renewed=timedelta(seconds=over / 6), over=timedelta(seconds=over)
        )
        problems = Problems(store, overviews, every=every)
        services = replace(service.app.extensions["services"], overviews=overviews, problems=problems)
        service.app.extensions["services"] = services
        problems.start()
        started.append(problems)
        return service

    yield make
    for one in started:
        one.stop(10)


def beat(service: Service, *reports: Report) -> None:
    now = datetime.now(UTC)
    service.store.heartbeats.beat(Heartbeat("worker", now, now, True, reports))


def problems(service: Service) -> list[dict[str, Any]]:
    answer = service.get("/getOverview")
    assert answer.status_code == 200, answer.json
    found: list[dict[str, Any]] = answer.json["troubles"]
    return found


def causes(service: Service) -> dict[str, str | None]:
    return {one["name"]: one["cause"] for one in problems(service)}


def test_each_problem_has_a_cause_for_programs(looking: Looking) -> None:
    service = looking()
    service.post("/createQueue", {"queueName": "orders"})
    names = ("rejected", "moved", "invalid", "down", "wrong", "busy", "denied", "lost")
    ids = {
        name: create_consumer(service, name=name, queueName="lost" if name == "lost" else "orders")["consumerId"]
        for name in names
    }
    for name, status in (("rejected", 401), ("moved", 404), ("invalid", None)):
        service.store.consumers.suspend(ids[name], 1, "refused", status)
    beat(
        service,
        Report(ids["down"], 1, "breaker-open"),
        Report(ids["wrong"], 1, "failing", last_status=500, error="HTTP 500"),
        Report(ids["busy"], 1, "throttled"),
        Report(ids["denied"], 1, "resting", last_status=403, error="HTTP 403"),
        Report(ids["lost"], 1, "waiting", reason="there is no queue 'lost'"),
    )
    assert causes(service) == {
        "rejected": "credentials",
        "moved": "target_refuses",
        "invalid": "definition",
        "down": "target_fails",
        "wrong": "target_fails",
        "busy": "target_throttles",
        "denied": "credentials",
        "lost": "queue_missing",
    }


def test_a_queue_without_a_consumer_is_distinguished_from_one_with_a_paused_consumer(looking: Looking) -> None:
    service = looking()
    beat(service)
    for queue in ("orders", "bills"):
        service.post("/createQueue", {"queueName": queue})
        service.post("/messagePublish", {"queueName": queue, "message": "x"})
    create_consumer(service)
    service.post("/pauseConsumer", {"queueName": "orders"})
    wait_until(lambda: causes(service) == {"orders": "paused", "bills": "no_consumer"}, 15)


@pytest.mark.parametrize(("status", "cause"), [(401, "credentials"), (410, "target_refuses")])
def test_a_worker_records_the_status_that_suspends_a_consumer(
    looking: Looking, target: Target, status: int, cause: str
) -> None:
    service = looking(consumers="inline")
    service.post("/createQueue", {"queueName": "orders"})
    create_consumer(service, url=target.url(f"/status/{status}"))
    messages = [{"queueName": "orders", "message": "x"}] * SUSPEND_AFTER
    published = service.post("/messagePublish", {"messages": messages})
    assert published.status_code == 200, published.json

    def suspended() -> bool:
        return [(one["kind"], one["cause"]) for one in problems(service)] == [("consumer_suspended", cause)]

    wait_until(suspended, 60)


def test_a_problem_lasts_since_its_start_and_not_since_its_last_error(looking: Looking) -> None:
    service = looking(over=3)
    consumer_id = create_consumer(service)["consumerId"]
    first = datetime.now(UTC).replace(microsecond=0)

    def fail(error_at: datetime) -> str:
        beat(service, Report(consumer_id, 1, "failing", error="HTTP 500", error_at=error_at))
        [one] = problems(service)
        return str(one["since"])

    since = fail(first)
    assert since == first.isoformat().replace("+00:00", "Z")
    until = datetime.now(UTC) + timedelta(seconds=4)  # longer than a problem without a look lasts
    wait_until(lambda: fail(datetime.now(UTC)) != since or datetime.now(UTC) > until, 20)
    assert fail(datetime.now(UTC)) == since

    def fine() -> bool:
        beat(service, Report(consumer_id, 1, "running"))
        return problems(service) == [] and datetime.now(UTC) > until + timedelta(seconds=4)

    wait_until(fine, 15)
    assert fail(datetime.now(UTC)) > since


def test_the_service_looks_for_problems_on_its_own(looking: Looking) -> None:
    service = looking(every=0.2, over=5)
    create_consumer(service)
    known = service.store.problems._collection()
    wait_until(lambda: [one["_id"] for one in known.find({})] == ["no_worker workers"], 20)
    began = known.find_one({})["since"]
    later = datetime.now(UTC)
    wait_until(lambda: known.find_one({})["seen"] > later, 20)
    assert known.find_one({})["since"] == began


def test_a_bug_does_not_end_the_looks(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    bugs, now = [ValueError("a bug")], Overviews.now

    def fail_once(overviews: Overviews) -> Overview:
        if bugs:
            raise bugs.pop()
        return now(overviews)

    service = looking(every=0.2)
    create_consumer(service)
    monkeypatch.setattr(Overviews, "now", fail_once)
    wait_until(lambda: not bugs, 20)
    failed, known = datetime.now(UTC), service.store.problems._collection()
    wait_until(lambda: (one := known.find_one({})) and one["seen"] > failed, 20)


def test_a_problem_is_acknowledged_with_name_and_note_until_it_is_over(looking: Looking) -> None:
    service = looking(over=2)
    ids = {name: create_consumer(service, name=name)["consumerId"] for name in ("a", "b")}
    failing = [Report(one, 1, "failing", error="HTTP 500") for one in ids.values()]
    beat(service, *failing)
    assert [one["name"] for one in problems(service)] == ["a", "b"]
    named = {"kind": "consumer_failing", "name": "a"}
    assert_problem(service.post("/acknowledgeProblem", named, role="viewer"), 403, "forbidden")
    answer = service.post("/acknowledgeProblem", {**named, "note": "The bank fixes it by 09:00."}, role="operator")
    assert answer.status_code == 200
    beat(service, *failing)
    other, noted = problems(service)
    assert (other["name"], other["acknowledged"], noted["name"]) == ("b", None, "a")
    assert (noted["acknowledged"]["by"], noted["acknowledged"]["note"]) == ("operator", "The bank fixes it by 09:00.")
    [entry] = service.get("/getAuditLog", action="acknowledgeProblem", user="operator").json
    assert entry["resource"] == named

    assert service.delete("/deleteAcknowledgement", named).status_code == 200
    beat(service, *failing)
    assert [one["acknowledged"] for one in problems(service)] == [None, None]

    service.post("/acknowledgeProblem", named)
    until = datetime.now(UTC) + timedelta(seconds=3)

    def fine() -> bool:
        beat(service, *(Report(one, 1, "running") for one in ids.values()))
        return problems(service) == [] and datetime.now(UTC) > until

    wait_until(fine, 20)
    beat(service, *failing)
    assert [one["acknowledged"] for one in problems(service)] == [None, None]


def test_a_problem_that_there_is_not_cannot_be_acknowledged(looking: Looking) -> None:
    service = looking()
    body = {"kind": "consumer_failing", "name": "none"}
    assert_problem(service.post("/acknowledgeProblem", body), 404, "problem_not_found", "'none'")
    assert_problem(service.delete("/deleteAcknowledgement", body), 404, "problem_not_found")
    assert_problem(service.post("/acknowledgeProblem", {**body, "note": "x" * 501}), 400, "invalid_request")
