"""GET /getOverview: what is wrong now, the worst first, and nothing that is not."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.registry import Heartbeat, Report
from gateway.management import ConnectionGateway, ManagementClient, QueueGateway
from services.overview import Overviews
from services.queue_watch import QueueWatch
from tests.api.consumers import create_consumer
from tests.api.service import Service
from tests.api.stuck_retries import fill, level
from tests.conftest import REAL_BROKERS
from tests.support.amqp import get, publish
from tests.support.management import management_nodes
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target


@pytest.fixture
def service(make_service: Callable[..., Service], broker: BrokerNode) -> Service:
    """Return a service that reads the overview anew at each request, and needs only seconds to report a problem."""
    return looking_anew(make_service(), broker)


def looking_anew(service: Service, broker: BrokerNode, *, patience: float = 10) -> Service:
    """Give it an overview with other periods."""
    management = ManagementClient(management_nodes(broker.management_url))
    watch = QueueWatch(QueueGateway(management).outlines, growing=6, overdue=6)
    overviews = Overviews(
        service.store.consumers,
        service.store.heartbeats,
        watch,
        ConnectionGateway(management),
        kept=0,
        patience=patience,
    )
    service.app.extensions["services"] = replace(service.app.extensions["services"], overviews=overviews)
    return service


def beat(service: Service, *reports: Report) -> None:
    """One worker's heartbeat."""
    now = datetime.now(UTC)
    service.store.heartbeats.beat(Heartbeat("worker", now, now, True, reports))


def post(service: Service, path: str, body: dict[str, Any]) -> None:
    answer = service.post(path, body)
    assert answer.status_code < 300, answer.get_json()


def seen(service: Service) -> dict[str, Any]:
    answer = service.get("/getOverview")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.get_json()
    return found


def troubles(service: Service) -> list[tuple[str, str]]:
    return [(one["kind"], one["name"]) for one in seen(service)["troubles"]]


def test_where_all_is_well_there_is_no_trouble(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    consumer_id = create_consumer(service)["consumerId"]
    beat(service, Report(consumer_id, 1, "running"))
    found = seen(service)
    assert (found["troubles"], found["troubleCount"], found["workers"]) == ([], 0, 1)
    assert found["consumers"] == {"running": 1, "failing": 0, "waiting": 0, "paused": 0, "suspended": 0}
    assert found["totals"]["queues"] >= 1  # a delay level may be there, too
    assert found["totals"]["messages"] == 0


@pytest.mark.broker_independent
def test_the_worst_comes_first_and_says_why(service: Service) -> None:
    ids = {name: create_consumer(service, name=name)["consumerId"] for name in ("open", "fails", "lost", "bad", "fine")}
    service.store.consumers.suspend(ids["bad"], 1, "the target answers HTTP 404")
    beat(
        service,
        Report(
            ids["open"],
            1,
            "breaker-open",
            reason="Circuit breaker open for http://erp; last answer: HTTP 503; next attempt in 18 s.",
            error="HTTP 503",
        ),
        Report(ids["fails"], 1, "failing", error="HTTP 500"),
        Report(ids["lost"], 1, "waiting", reason="there is no queue 'orders'"),
        Report(ids["fine"], 1, "running"),
    )
    assert [(one["kind"], one["name"], one["reason"]) for one in seen(service)["troubles"]] == [
        ("consumer_suspended", "bad", "the target answers HTTP 404"),
        ("breaker_open", "open", "Circuit breaker open for http://erp; last answer: HTTP 503; next attempt in 18 s."),
        ("consumer_failing", "fails", "HTTP 500"),
        ("consumer_waiting", "lost", "there is no queue 'orders'"),
    ]


@pytest.mark.broker_independent
def test_consumers_without_any_worker_are_one_trouble(service: Service) -> None:
    for name in ("a", "b"):
        create_consumer(service, name=name)
    assert troubles(service) == [("no_worker", "workers")]


@pytest.mark.broker_independent
def test_a_new_consumer_is_not_a_problem_yet(service: Service, broker: BrokerNode) -> None:
    create_consumer(service)
    beat(service)
    assert troubles(service) == []
    looking_anew(service, broker, patience=0)
    assert troubles(service) == [("consumer_waiting", "orders")]


def test_dead_letters_and_queues_without_a_consumer_are_problems(service: Service) -> None:
    beat(service)
    dead = {"queueName": "named", "deadLetterExchange": "", "deadLetterRoutingKey": "graveyard"}
    for queue in (dead, *({"queueName": name} for name in ("orders", "orders.dlq", "graveyard", "empty.dlq"))):
        assert service.post("/createQueue", queue).status_code == 201
    for queue_name in ("orders", "orders", "orders.dlq", "graveyard"):
        service.post("/messagePublish", {"queueName": queue_name, "message": "x"})
    expected = [("dead_letters", "graveyard"), ("dead_letters", "orders.dlq"), ("queue_unconsumed", "orders")]
    wait_until(lambda: troubles(service) == expected, 15)

    def counted() -> bool:
        found = seen(service)
        counts = [one["messages"] for one in found["troubles"]]
        return counts == [1, 1, 2] and found["totals"]["deadLetters"] == 2

    wait_until(counted, 15)
    assert "no consumer" in seen(service)["troubles"][2]["reason"]
    create_consumer(service)
    service.post("/pauseConsumer", {"queueName": "orders"})
    assert "'orders' is paused" in seen(service)["troubles"][2]["reason"]
    service.post("/resumeConsumer", {"queueName": "orders"})
    assert ("queue_unconsumed", "orders") not in troubles(service), "its consumer is the trouble, if there is one"


def test_consumers_are_shown_while_the_broker_is_down(service: Service, broker: BrokerNode) -> None:
    consumer_id = create_consumer(service)["consumerId"]
    broker.stop()
    beat(service, Report(consumer_id, 1, "waiting", reason="the broker is not connected"))
    found = seen(service)
    assert found["totals"] is None
    assert found["consumers"]["waiting"] == 1
    assert [one["kind"] for one in found["troubles"]] == ["broker_unavailable", "consumer_waiting"]


def test_a_blocked_connection_is_trouble(make_service: Callable[..., Service], broker: BrokerNode) -> None:
    service = looking_anew(make_service(), broker)
    service.post("/createQueue", {"queueName": "orders"})
    beat(service)
    broker.set_memory_alarm(True)
    try:
        service.post("/messagePublish", {"queueName": "orders", "message": "x"})
        wait_until(lambda: "connection_blocked" in [kind for kind, _ in troubles(service)], 15)
    finally:
        broker.set_memory_alarm(False)


def retries(service: Service) -> tuple[int | None, int | None]:
    """Return the retries and the overdue ones, which RabbitMQ counts for a new level only after a while."""
    totals = seen(service)["totals"]
    return totals["retries"], totals["retriesOverdue"]


@pytest.mark.parametrize("broker", REAL_BROKERS, indirect=True)
@pytest.mark.parametrize("arguments", [{}, {"x-dead-letter-exchange": "missing"}], ids=["full", "no exchange"])
def test_retries_that_rabbitmq_does_not_pass_on_are_overdue(
    service: Service, broker: BrokerNode, arguments: dict[str, object]
) -> None:
    beat(service)
    level(broker, "workerrmq.delay.0", 1, **arguments)
    fill(broker, "workerrmq.delay.0", 5)

    def overdue() -> dict[str, Any] | None:
        found = seen(service)
        [trouble] = [one for one in found["troubles"] if one["kind"] == "retries_overdue"] or [None]
        return trouble and {**trouble, "totals": found["totals"]}

    trouble = wait_until(overdue, 30)
    assert trouble is not None
    assert (trouble["name"], trouble["messages"]) == ("workerrmq.delay.0", 5)
    assert "rabbitmq-queues rebalance quorum" in trouble["reason"]
    assert (trouble["totals"]["retries"], trouble["totals"]["retriesOverdue"]) == (5, 5)
    level(broker, "workerrmq.delay.8", 256)
    fill(broker, "workerrmq.delay.8", 3)
    wait_until(lambda: retries(service) == (8, 5), 15)
    assert broker.management.delete("queues", "/", "workerrmq.delay.0").ok
    wait_until(lambda: "retries_overdue" not in [kind for kind, _ in troubles(service)], 15)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("workerrmq.due", "Check that a worker runs"), ("workerrmq.overdue", "Make room in the queues")],
)
def test_retries_that_are_due_and_not_back_in_their_queues_are_overdue(
    service: Service, broker: BrokerNode, name: str, reason: str
) -> None:
    beat(service)
    with broker.connect() as connection:
        connection.channel().queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
    fill(broker, name, 5)
    wait_until(lambda: ("retries_overdue", name) in troubles(service), 30)
    found = seen(service)
    assert (found["totals"]["retries"], found["totals"]["retriesOverdue"], found["totals"]["messages"]) == (5, 5, 0)
    [trouble] = [one for one in found["troubles"] if one["kind"] == "retries_overdue"]
    assert trouble["messages"] == 5
    assert reason in trouble["reason"]
    assert name not in [kind for kind, _ in troubles(service) if kind != "retries_overdue"]


@pytest.mark.parametrize("broker", REAL_BROKERS, indirect=True)
def test_dead_letters_that_rabbitmq_keeps_back_in_another_queue_are_trouble_too(
    service: Service, broker: BrokerNode
) -> None:
    beat(service)
    level(broker, "orders", 1)
    fill(broker, "orders", 4)
    wait_until(lambda: ("dead_lettering_stuck", "orders") in troubles(service), 30)
    totals = seen(service)["totals"]
    assert (totals["messages"] - totals["ready"], totals["retriesOverdue"]) == (4, 0)


def test_retries_count_all_messages_of_the_levels_also_those_that_are_unacked(
    service: Service, broker: BrokerNode
) -> None:
    beat(service)
    for name in ("workerrmq.delay.9", "workerrmq.retry.60s"):
        level(broker, name, 512)
        fill(broker, name, 3)
    with broker.connect() as connection:
        channel = connection.channel()
        assert get(channel, "workerrmq.delay.9", auto_ack=False)
        wait_until(lambda: retries(service) == (6, 0), 20)
    assert "retries_overdue" not in [kind for kind, _ in troubles(service)]


def test_copies_that_the_broker_refuses_are_shown_with_the_queue_that_refuses(
    make_service: Callable[..., Service], broker: BrokerNode, target: Target
) -> None:
    service = looking_anew(make_service(consumers="inline"), broker)
    limits = {"maxLength": 1, "overflow": "reject-publish"}
    post(service, "/createQueue", {"queueName": "orders"})
    post(service, "/createQueue", {"queueName": "orders.dlq", **limits})
    post(service, "/messagePublish", {"queueName": "orders.dlq", "message": "filler"})
    create_consumer(service, url=target.url("/status/422"))
    for _ in range(3):
        post(service, "/messagePublish", {"queueName": "orders", "message": "x"})

    def refused() -> dict[str, Any] | None:
        found = {one["kind"]: one for one in seen(service)["troubles"]}
        assert "consumer_failing" not in found, "the target is not at fault"
        trouble: dict[str, Any] | None = found.get("copies_refused")
        return trouble if trouble and trouble["messages"] == 3 else None

    trouble = wait_until(refused, 20)
    assert trouble is not None
    assert (trouble["name"], trouble["queueName"]) == ("orders", "orders")
    assert "queue 'orders.dlq' is full" in trouble["reason"]
    assert "connection" not in trouble["reason"]
    consumer = service.get("/getConsumer", queueName="orders").get_json()
    assert consumer["refusedCopies"] == consumer["workers"][0]["refusedCopies"] == 3
    assert "'orders.dlq' is full" in consumer["copyError"]
    assert consumer["workers"][0]["copyError"] == consumer["copyError"]

    broker.management.delete("queues", "/", "orders.dlq")
    wait_until(lambda: "copies_refused" not in [kind for kind, _ in troubles(service)], 30)
    cured = service.get("/getConsumer", queueName="orders").get_json()
    assert (cured["refusedCopies"], cured["copyError"], cured["deadLettered"]) == (0, None, 3)


@pytest.mark.broker_independent
def test_copies_that_are_refused_are_summed_over_the_workers(service: Service) -> None:
    consumer_id = create_consumer(service)["consumerId"]
    now = datetime.now(UTC)
    for worker, count, reason in (("a", 2, "queue 'x' is full"), ("b", 5, "queue 'y' is full")):
        report = Report(consumer_id, 1, "running", refused_copies=count, copy_error=reason)
        service.store.heartbeats.beat(Heartbeat(worker, now, now, True, (report,)))
    [trouble] = seen(service)["troubles"]
    assert (trouble["kind"], trouble["messages"]) == ("copies_refused", 7)
    assert "queue 'y' is full" in trouble["reason"]
    found = service.get("/getConsumer", queueName="orders").get_json()
    assert (found["refusedCopies"], found["copyError"]) == (7, "queue 'y' is full")
    assert [(one["refusedCopies"], one["copyError"]) for one in found["workers"]] == [
        (2, "queue 'x' is full"),
        (5, "queue 'y' is full"),
    ]


def test_a_queue_that_grows_though_its_consumer_runs_is_trouble(service: Service, broker: BrokerNode) -> None:
    consumer_id = create_consumer(service)["consumerId"]
    service.post("/createQueue", {"queueName": "orders"})
    beat(service, Report(consumer_id, 1, "running"))
    with broker.connect() as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume("orders", lambda *_: None)  # it takes one, and acks none

        def growing() -> list[dict[str, Any]]:
            beat(service, Report(consumer_id, 1, "running"))
            publish(channel, "orders", *(["x"] * 60))
            connection.process_data_events(0)
            return [one for one in seen(service)["troubles"] if one["kind"] == "queue_growing"]

        [trouble] = wait_until(growing, 40)
        assert (trouble["name"], trouble["messages"] > 100) == ("orders", True)
        assert "grows although it has a consumer" in trouble["reason"]
        assert re.search(r"by [1-9]\d* messages in \d+ s\.", trouble["reason"])
        beat(service, Report(consumer_id, 1, "failing", error="HTTP 500"))
        assert ("queue_growing", "orders") not in troubles(service), "its consumer is the trouble"
        beat(service, Report(consumer_id, 1, "running"))
        assert ("queue_growing", "orders") in troubles(service)
        channel.queue_purge("orders")

        def over() -> bool:
            beat(service, Report(consumer_id, 1, "running"))
            return ("queue_growing", "orders") not in troubles(service)

        wait_until(over, 20)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_the_overview_has_the_age_of_the_oldest_message_if_it_is_known(
    service: Service, broker: BrokerNode, kind: str
) -> None:
    beat(service)
    published = int(datetime.now(UTC).timestamp()) - 3600
    quiet = {"queueName": "quiet", "type": kind}
    post(service, "/createQueue", {"queueName": "orders", "type": kind})
    post(service, "/createQueue", quiet)
    fill(broker, "orders", 2, timestamp=published)
    fill(broker, "quiet", 2)  # without a timestamp
    wait_until(lambda: service.get("/getQueue", queueName="quiet").get_json()["ready"] == 2, 15)
    known = kind == "classic" or broker.name == "embedded"
    expected = datetime.fromtimestamp(published, UTC).isoformat().replace("+00:00", "Z") if known else None

    def told() -> bool:
        found = {one["name"]: one for one in seen(service)["troubles"]}
        listed = {one["queueName"]: one for one in service.get("/getQueues").get_json()}
        queue = service.get("/getQueue", queueName="orders").get_json()
        everywhere = (queue, listed.get("orders"), found.get("orders"))
        return all(one and one["oldestMessageAt"] == expected and one.get("ready", 2) == 2 for one in everywhere)

    wait_until(told, 20)
    assert service.get("/getQueue", queueName="quiet").get_json()["oldestMessageAt"] is None
    post(service, "/purgeQueue", {"queueName": "orders"})
    wait_until(lambda: service.get("/getQueue", queueName="orders").get_json()["oldestMessageAt"] is None, 20)


def test_a_timestamp_that_cannot_be_true_is_not_an_age(service: Service, broker: BrokerNode) -> None:
    beat(service)
    post(service, "/createQueue", {"queueName": "orders", "type": "classic"})
    fill(broker, "orders", 1, timestamp=int(datetime.now(UTC).timestamp() * 1000))
    wait_until(lambda: service.get("/getQueue", queueName="orders").get_json()["ready"] == 1, 15)
    assert service.get("/getQueue", queueName="orders").get_json()["oldestMessageAt"] is None


@pytest.mark.broker_independent
def test_a_consumer_whose_target_asked_for_a_pause_waits_and_says_until_when(
    make_service: Callable[..., Service], broker: BrokerNode, target: Target
) -> None:
    service = looking_anew(make_service(consumers="inline"), broker)
    service.post("/createQueue", {"queueName": "orders"})
    create_consumer(service, url=target.url("/status/429"))
    service.post("/messagePublish", {"queueName": "orders", "message": "x"})

    def throttled() -> dict[str, Any] | None:
        return next((one for one in seen(service)["troubles"] if "asked for a pause" in one["reason"]), None)

    trouble = wait_until(throttled, 20)
    assert trouble is not None
    assert (trouble["kind"], trouble["name"]) == ("consumer_waiting", "orders")
    assert re.search(r"HTTP 429; next attempt in \d+ s\.|one message is probing the target", trouble["reason"])
    found = service.get("/getConsumers", state="waiting").get_json()
    assert [one["queueName"] for one in found] == ["orders"]
