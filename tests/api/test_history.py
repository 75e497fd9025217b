"""GET /getHistory: who may read the history of what."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from domain.overview import QueueOutline
from domain.registry import Heartbeat, Report
from services.history import Recorder
from tests.api.consumers import create_consumer
from tests.api.service import Service, assert_problem
from tests.api.test_api_keys import create, with_key

pytestmark = pytest.mark.broker_independent


def record(service: Service, consumer_id: str) -> None:
    """Two measurements of this minute: ten messages in and five delivered in ten seconds."""
    recorder = Recorder(service.store.history)
    now = time.time() // 60 * 60
    for at, count in ((now - 20, 0), (now - 10, 10)):
        begun = datetime.fromtimestamp(now - 100, UTC)
        report = Report(consumer_id, 1, "running", delivered=count // 2, since=begun)
        queue = QueueOutline("orders", 7, 7, 0, 0, 1, 0, 0, 0, None, None, (count, 0, 0))
        recorder.record(at, [Heartbeat("w", begun, begun, True, (report,))], [queue])


def test_the_history_of_a_queue_and_of_a_consumer_by_its_name(service: Service) -> None:
    consumer = create_consumer(service)
    record(service, consumer["consumerId"])
    queue = service.get("/getHistory", queueName="orders", role="viewer").json
    assert (queue["period"], queue["bucketSeconds"]) == ("hour", 60)
    assert (queue["series"]["publishRate"][0], queue["series"]["ready"][0]) == (1.0, 7)
    assert len(queue["times"]) == len(queue["series"]["ackRate"]) in (2, 3)
    for period in ("hour", "day", "week"):
        found = service.get("/getHistory", consumer=consumer["name"], period=period).json
        assert (found["period"], found["series"]["deliveredRate"][0]) == (period, 0.5)


def test_the_history_of_all_queues(service: Service) -> None:
    record(service, create_consumer(service)["consumerId"])
    found = service.get("/getHistory", role="viewer").json
    assert (found["series"]["publishRate"][0], found["series"]["ready"][0]) == (1.0, 7)
    scoped = with_key(service, create(service, "scoped", "viewer", queues=["orders"]))
    assert_problem(scoped("GET", "/getHistory"), 403, "outside_key_scope")


def test_an_unknown_queue_has_no_history_and_an_unknown_consumer_is_not_found(service: Service) -> None:
    nothing = service.get("/getHistory", queueName="none").json
    assert (nothing["times"], nothing["series"]["ready"]) == ([], [])
    assert_problem(service.get("/getHistory", consumer="none"), 404, "consumer_not_found")


@pytest.mark.parametrize("query", [{"queueName": "q", "consumer": "c"}, {"queueName": "q", "period": "year"}], ids=str)
def test_a_history_has_at_most_one_subject_and_a_known_period(service: Service, query: dict[str, str]) -> None:
    assert_problem(service.get("/getHistory", **query), 400, "invalid_request")


def test_a_scoped_key_reads_only_the_history_of_its_queues(service: Service) -> None:
    consumer = create_consumer(service)
    inside = with_key(service, create(service, "inside", "viewer", queues=["orders"]))
    outside = with_key(service, create(service, "outside", "viewer", queues=["other"]))
    for query in (f"consumer={consumer['name']}", "queueName=orders"):
        assert inside("GET", f"/getHistory?{query}").status_code == 200
        assert_problem(outside("GET", f"/getHistory?{query}"), 403, "outside_key_scope")
    assert_problem(outside("GET", "/getHistory?consumer=none"), 403, "outside_key_scope")


def test_the_counts_of_a_consumer_say_since_when_they_are(service: Service) -> None:
    consumer = create_consumer(service)
    assert service.get("/getConsumer", name=consumer["name"]).json["countedSince"] is None
    now = datetime.now(UTC)
    for worker, begun in (("one", datetime(2026, 1, 2, tzinfo=UTC)), ("two", datetime(2026, 1, 1, tzinfo=UTC))):
        report = Report(consumer["consumerId"], 1, "running", delivered=5, since=begun)
        service.store.heartbeats.beat(Heartbeat(worker, now, now, True, (report,)))
    shown = service.get("/getConsumer", name=consumer["name"]).json
    assert (shown["delivered"], shown["countedSince"]) == (10, "2026-01-01T00:00:00Z")
    assert [one["countedSince"] for one in shown["workers"]] == ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"]
