"""Queues over HTTP: what is answered, and what the broker then has."""

from __future__ import annotations

from collections.abc import Callable
from resource import RUSAGE_SELF, getrusage
from typing import Any

import pytest

from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode
from tests.support.patterns import BACKTRACKING, EXPLODING
from tests.support.processes import wait_until


def test_a_queue_is_new_once_and_then_the_same(service: Service) -> None:
    body = {"queueName": "orders"}
    first = service.post("/createQueue", body)
    assert first.status_code == 201
    assert first.get_json() == {"message": "Queue has been created successfully.", "queueName": "orders"}
    again = service.post("/createQueue", body)
    assert (again.status_code, again.get_json()["queueName"]) == (200, "orders")


def test_the_broker_has_what_was_asked_for(service: Service, broker: BrokerNode) -> None:
    body = {
        "queueName": "full",
        "durable": True,
        "messageTtl": 60000,
        "expires": 3600000,
        "maxLength": 5,
        "maxLengthBytes": 1000,
        "overflow": "reject-publish",
        "maxPriority": 5,
        "singleActiveConsumer": True,
        "deadLetterExchange": "",
        "deadLetterRoutingKey": "full.dead",
        "arguments": {"x-queue-mode": "lazy"},
    }
    assert service.post("/createQueue", body).status_code == 201
    arguments = {
        "x-message-ttl": 60000,
        "x-expires": 3600000,
        "x-max-length": 5,
        "x-max-length-bytes": 1000,
        "x-overflow": "reject-publish",
        "x-max-priority": 5,
        "x-single-active-consumer": True,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "full.dead",
        "x-queue-mode": "lazy",
        "x-queue-type": "classic",
    }
    assert broker.management.get("queues", "/", "full").json()["arguments"] == arguments
    assert service.get("/getQueue", queueName="full").get_json()["arguments"] == arguments


def test_a_quorum_queue_is_one(service: Service, broker: BrokerNode) -> None:
    body = {"queueName": "safe", "type": "quorum", "deliveryLimit": 5}
    assert service.post("/createQueue", body).status_code == 201
    assert service.get("/getQueue", queueName="safe").get_json()["type"] == "quorum"
    arguments = broker.management.get("queues", "/", "safe").json()["arguments"]
    assert arguments == {"x-queue-type": "quorum", "x-delivery-limit": 5}
    assert_problem(service.post("/createQueue", body | {"type": "classic"}), 409, "queue_exists_otherwise")
    transient = {"queueName": "unsafe", "type": "quorum", "durable": False}
    assert_problem(service.post("/createQueue", transient), 400, "refused_by_broker", "durable")


def test_a_queue_is_of_the_type_that_was_asked_for_whatever_the_virtual_hosts_default_is(
    make_service: Callable[..., Service], broker: BrokerNode
) -> None:
    broker.management.put("vhosts", "modern", body={"default_queue_type": "quorum"})
    broker.management.put("permissions", "modern", "guest", body={"configure": ".*", "write": ".*", "read": ".*"})
    service = make_service(rabbitmq_url=broker.amqp_url.replace("%2F", "modern"))
    for wanted in ({}, {"type": "classic"}, {"lazy": True}, {"maxPriority": 5}, {"type": "quorum"}):
        body = {"queueName": f"q-{wanted}", **wanted}
        assert service.post("/createQueue", body).status_code == 201
        assert service.post("/createQueue", body).status_code == 200, "it exists with these settings"
        kind = service.get("/getQueue", queueName=body["queueName"]).get_json()["type"]
        assert kind == wanted.get("type", "classic")


def test_a_classic_queue_that_was_declared_without_its_type_exists_with_these_settings(
    service: Service, broker: BrokerNode
) -> None:
    with broker.connect() as connection:
        connection.channel().queue_declare("old", durable=True, arguments={"x-message-ttl": 1000})
    body = {"queueName": "old", "messageTtl": 1000}
    assert service.post("/createQueue", body).status_code == 200
    assert service.post("/createQueue", body | {"type": "classic"}).status_code == 200
    assert_problem(service.post("/createQueue", body | {"type": "quorum"}), 409, "queue_exists_otherwise")


@pytest.mark.parametrize("given", [{"deliveryLimit": -1}, {"arguments": {"x-delivery-limit": -3}}])
def test_no_delivery_limit_is_refused_where_the_broker_takes_it_for_none_at_all(
    service: Service, broker: BrokerNode, given: dict[str, Any]
) -> None:
    version = broker.management.get("overview").json()["rabbitmq_version"]
    answer = service.post("/createQueue", {"queueName": "q", "type": "quorum", **given})
    if int(version.partition(".")[0]) >= 4:
        assert answer.status_code == 201
        return
    problem = assert_problem(answer, 400, "invalid_request", f"RabbitMQ {version} would drop")
    assert problem["errors"][0]["field"] == "deliveryLimit"
    assert_problem(service.get("/getQueue", queueName="q"), 404, "queue_not_found")


def test_a_queue_that_exists_otherwise_is_a_conflict_that_says_in_what(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders", "messageTtl": 1000})
    problem = assert_problem(
        service.post("/createQueue", {"queueName": "orders", "messageTtl": 2000}), 409, "queue_exists_otherwise"
    )
    assert problem["errors"] == [{"field": "messageTtl", "detail": "is 1000; you asked for 2000"}]
    assert_problem(
        service.post("/createQueue", {"queueName": "orders", "durable": False}), 409, "queue_exists_otherwise"
    )


def test_queues_are_a_bare_list_with_the_same_shape_as_one_queue(service: Service) -> None:
    for name in ("b", "a"):
        service.post("/createQueue", {"queueName": name, "type": "classic"})
    queues = service.get("/getQueues").get_json()
    assert [queue["queueName"] for queue in queues] == ["a", "b"]
    assert queues[0] == service.get("/getQueue", queueName="a").get_json()
    assert queues[0] | {"state": "running"} == {
        "queueName": "a",
        "type": "classic",
        "state": "running",
        "durable": True,
        "autoDelete": False,
        "exclusive": False,
        "arguments": {"x-queue-type": "classic"},
        "policy": None,
        "messages": 0,
        "ready": 0,
        "unacked": 0,
        "messageBytes": 0,
        "consumers": 0,
        "publishRate": 0.0,
        "deliverRate": 0.0,
        "ackRate": 0.0,
        "deliveredBy": [],
        "oldestMessageAt": None,
    }


def test_pages_of_queues_say_how_many_there_are_and_where_the_next_is(service: Service) -> None:
    for name in ("a1", "a2", "a3", "b1"):
        service.post("/createQueue", {"queueName": name})
    second = service.get("/getQueues", name="A", page=2, pageSize=2)
    assert [queue["queueName"] for queue in second.get_json()] == ["a3"]
    assert second.headers["X-Total-Count"] == "3"
    assert '<getQueues?name=A&page=1&pageSize=2>; rel="prev"' in second.headers["Link"]
    beyond = service.get("/getQueues", page=99)
    assert (beyond.status_code, beyond.get_json(), beyond.headers["X-Total-Count"]) == (200, [], "4")


def test_queues_are_found_by_pattern_and_sorted_by_what_they_hold(service: Service) -> None:
    for name, messages in (("eu.orders", 1), ("us.orders", 3), ("us.invoices", 2)):
        service.post("/createQueue", {"queueName": name})
        service.post("/messagePublish", {"messages": [{"queueName": name, "message": "x"}] * messages})

    def names(**query: Any) -> list[str]:
        return [queue["queueName"] for queue in service.get("/getQueues", **query).get_json()]

    wait_until(lambda: names(sort="messages", descending=True) == ["us.orders", "us.invoices", "eu.orders"])
    assert names(sort="ready", pageSize=1) == ["eu.orders"]
    assert names(descending=True) == ["us.orders", "us.invoices", "eu.orders"]
    assert names(name="^us[.]", useRegex=True) == ["us.invoices", "us.orders"]
    assert names(name="^us[.]") == [], "without useRegex it is plain text"
    problem = assert_problem(service.get("/getQueues", name="(", useRegex=True), 400, "invalid_request")
    assert problem["errors"][0]["field"] == "name"
    assert_problem(service.get("/getQueues", sort="colour"), 400, "invalid_request", "sort")


def test_a_regular_expression_means_the_same_whatever_the_broker(service: Service) -> None:
    """It is not passed on to RabbitMQ, whose engine backtracks and ignores case in ASCII only."""
    for name in ("Éclair", "eclair", "orders"):
        service.post("/createQueue", {"queueName": name})
        service.post("/createExchange", {"exchange": name})
    for path, field in (("/getQueues", "queueName"), ("/getExchanges", "exchange")):

        def found(path: str = path, field: str = field, **query: Any) -> tuple[list[str], str]:
            answer = service.get(path, useRegex=True, **query)
            return [one[field] for one in answer.json], answer.headers["X-Total-Count"]

        assert found(name="^éclair$") == (["Éclair"], "1")
        assert found(name="^(éclair|orders|eclair)$", pageSize=2) == (["eclair", "orders"], "3")
        assert found(name="^(éclair|orders|eclair)$", pageSize=2, page=2) == (["Éclair"], "3")
        assert found(name="^(orders|eclair)$", descending=True) == (["orders", "eclair"], "2")


@pytest.mark.parametrize("pattern", [*EXPLODING, *BACKTRACKING])
def test_no_regular_expression_of_a_client_takes_long_or_much(service: Service, pattern: str) -> None:
    """Not in the service, nor in a broker that it is passed on to."""
    name = "x" * 254 + "!"
    service.post("/createQueue", {"queueName": name})
    service.post("/createExchange", {"exchange": name})
    largest = getrusage(RUSAGE_SELF).ru_maxrss
    for path in ("getQueues", "getExchanges", "getBindings", "getConnections", "getChannels", "getUsers", "getApiKeys"):
        answer = service.get(f"/{path}", name=pattern, useRegex=True)
        if pattern in EXPLODING:
            assert assert_problem(answer, 400, "invalid_request")["errors"][0]["field"] == "name"
        else:
            assert answer.get_json() == []
    assert getrusage(RUSAGE_SELF).ru_maxrss - largest < 100_000, "KiB"


def test_the_services_own_queues_are_listed_only_on_request(service: Service, broker: BrokerNode) -> None:
    with broker.connect() as connection:
        for name in (
            "orders",
            "workerrmq.delay.5",
            "workerrmq.orphans",
            "workerrmqs",
            "WorkerRMQ.shop",
            "a.workerrmq.",
        ):
            connection.channel().queue_declare(name, durable=True)

    def names(**query: str) -> list[str]:
        return [queue["queueName"] for queue in service.get("/getQueues", **query).get_json()]

    own, others = ["workerrmq.delay.5", "workerrmq.orphans"], ["WorkerRMQ.shop", "a.workerrmq.", "orders", "workerrmqs"]
    assert sorted(names()) == others
    assert service.get("/getQueues").headers["X-Total-Count"] == "4"
    assert sorted(names(name="workerrmq.")) == ["WorkerRMQ.shop", "a.workerrmq."]
    assert names(name="S$", useRegex="true") == ["orders", "workerrmqs"]
    assert sorted(names(includeInternal="true")) == sorted([*own, *others])
    assert names(name="DELAY", includeInternal="true") == ["workerrmq.delay.5"]
    assert names(name="^workerrmq[.]d", useRegex="true", includeInternal="true") == own[:1]


def test_dead_letter_queues_are_left_out_on_request(service: Service, broker: BrokerNode) -> None:
    with broker.connect() as connection:
        for name in ("orders", "orders.dlq", "orders.dlq.copy", "orders.DLQ", "workerrmq.x.dlq"):
            connection.channel().queue_declare(name, durable=True)

    def names(**query: str) -> list[str]:
        found = service.get("/getQueues", includeDeadLetters="false", **query)
        return sorted(queue["queueName"] for queue in found.get_json())

    assert names() == ["orders", "orders.DLQ", "orders.dlq.copy"]
    assert names(name="DLQ") == ["orders.DLQ", "orders.dlq.copy"]
    assert names(name="dlq", useRegex="true") == ["orders.DLQ", "orders.dlq.copy"]
    assert names(includeInternal="true", name="workerrmq") == []
    assert "orders.dlq" in [queue["queueName"] for queue in service.get("/getQueues").get_json()]


def test_a_queue_names_the_consumers_that_deliver_its_messages(service: Service) -> None:
    for queue in ("orders", "other"):
        service.post("/createQueue", {"queueName": queue})
    for name in ("a", "b"):
        service.post("/createConsumer", {"queueName": "orders", "name": name, "url": "https://a.example/"})
    service.post("/pauseConsumer", {"name": "b"})
    wanted = [{"name": "a", "state": "waiting"}, {"name": "b", "state": "paused"}]
    wait_until(lambda: service.get("/getQueue", queueName="orders").get_json()["deliveredBy"] == wanted, 10)
    shown = {one["queueName"]: one["deliveredBy"] for one in service.get("/getQueues").get_json()}
    assert shown == {"orders": wanted, "other": []}


@pytest.mark.parametrize("part", ["a-b c", "#&~", "é", "a.b", "[x]", "\\"])
def test_a_part_of_a_name_is_searched_as_it_is(service: Service, broker: BrokerNode, part: str) -> None:
    with broker.connect() as connection:
        for name in (f"before {part} after", "another"):
            connection.channel().queue_declare(name, durable=True)
    assert [one["queueName"] for one in service.get("/getQueues", name=part).get_json()] == [f"before {part} after"]


def test_a_list_shows_only_the_fields_that_are_asked_for(service: Service) -> None:
    service.post("/createQueue", {"queueName": "a"})
    assert service.get("/getQueues", fields="queueName,durable").get_json() == [{"queueName": "a", "durable": True}]
    for page in (1, 99):
        answer = service.get("/getQueues", fields="queueName,colour", page=page)
        assert_problem(answer, 400, "invalid_request", "'colour'", "durable")


def test_counts_follow_the_messages_until_purged(service: Service, broker: BrokerNode) -> None:
    service.post("/createQueue", {"queueName": "counted"})
    service.post("/messagePublish", {"messages": [{"queueName": "counted", "message": "four"}] * 3})

    def counts() -> tuple[int, ...]:
        queue = service.get("/getQueue", queueName="counted").get_json()
        return (queue["messages"], queue["ready"], queue["unacked"], queue["messageBytes"], queue["consumers"])

    wait_until(lambda: counts() == (3, 3, 0, 12, 0))
    with broker.connect() as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        channel.basic_consume("counted", lambda *_: None)
        wait_until(lambda: counts()[1:3] == (2, 1) and counts()[4] == 1)
        purged = service.post("/purgeQueue", {"queueName": "counted"})
        assert purged.status_code == 200
        wait_until(lambda: counts()[:3] == (1, 0, 1), message="the message that a consumer holds stays")


def test_a_deleted_queue_is_gone(service: Service) -> None:
    service.post("/createQueue", {"queueName": "gone"})
    assert service.delete("/deleteQueue", {"queueName": "gone"}).status_code == 200
    assert_problem(service.get("/getQueue", queueName="gone"), 404, "queue_not_found", "'gone'")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/getQueue?queueName=nope"), ("POST", "/purgeQueue"), ("DELETE", "/deleteQueue")]
)
def test_a_queue_that_is_not_there_is_not_found(service: Service, method: str, path: str) -> None:
    body = None if method == "GET" else {"queueName": "nope"}
    assert_problem(service.call(method, path, body), 404, "queue_not_found", "'nope'")


def test_an_exclusive_queue_is_locked(service: Service, broker: BrokerNode) -> None:
    with broker.connect() as connection:
        connection.channel().queue_declare("mine", exclusive=True)
        assert_problem(service.post("/purgeQueue", {"queueName": "mine"}), 423, "locked")
        assert_problem(service.delete("/deleteQueue", {"queueName": "mine"}), 423, "locked")
        assert service.get("/getQueue", queueName="mine").get_json()["exclusive"] is True


@pytest.mark.broker_independent
@pytest.mark.parametrize(
    ("body", "field", "word"),
    [
        ({}, "queueName", "required"),
        ({"queueName": ""}, "queueName", "empty"),
        ({"queueName": "  "}, "queueName", "empty"),
        ({"queueName": "x" * 256}, "queueName", "255 bytes"),
        ({"queueName": "ü" * 150}, "queueName", "255 bytes"),
        ({"queueName": "a\x00b"}, "queueName", "NUL"),
        ({"queueName": "a\nb"}, "queueName", "line breaks"),
        ({"queueName": "amq.mine"}, "queueName", "amq."),
        ({"queueName": 7}, "queueName", "string"),
        ({"queueName": ["q"]}, "queueName", "string"),
        ({"queueName": None}, "queueName", "string"),
        ({"queueName": "q", "durable": "yes"}, "durable", "true or false"),
        ({"queueName": "q", "durable": 1}, "durable", "true or false"),
        ({"queueName": "q", "messageTtl": "1000"}, "messageTtl", "whole number"),
        ({"queueName": "q", "messageTtl": -1}, "messageTtl", "greater than or equal to 0"),
        ({"queueName": "q", "messageTtl": 2**32}, "messageTtl", "less than or equal to"),
        ({"queueName": "q", "expires": 0}, "expires", "greater than 0"),
        ({"queueName": "q", "maxPriority": 256}, "maxPriority", "less than or equal to 255"),
        ({"queueName": "q", "type": "stream"}, "type", "streams are not supported"),
        ({"queueName": "q", "arguments": ["x-expires"]}, "arguments", "JSON object"),
        ({"queueName": "q", "arguments": {"x-queue-type": "stream"}}, "arguments", "streams are not supported"),
        ({"queueName": "q", "arguments": {"x-odd": None}}, "arguments", "'x-odd' must not be null"),
        ({"queueName": "q", "arguments": {"x-odd": [{"a": None}]}}, "arguments", "'x-odd' must not contain null"),
        ({"queueName": "q", "arguments": {"x-odd": 2**64}}, "arguments", "64 bits"),
        ({"queueName": "q", "maxLength": 2**63}, "maxLength", "less than or equal to"),
        ({"queueName": "q", "maxLength": 1, "arguments": {"x-max-length": 2}}, "", "maxLength is given twice"),
        ({"queueName": "q", "message_ttl": 1}, "message_ttl", "messageTtl"),
        ({"queueName": "q", "colour": "red"}, "colour", "unknown field"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_with_the_field_and_a_sentence(
    service: Service, body: dict[str, Any], field: str, word: str
) -> None:
    problem = assert_problem(service.post("/createQueue", body), 400, "invalid_request")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert word in problem["errors"][0]["detail"]
    assert service.get("/getQueues").get_json() == [], "nothing was made"


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"arguments": {"x-message-ttl": "soon"}}, "messageTtl", "must be a whole number"),
        ({"arguments": {"x-max-length": -1}}, "maxLength", "must not be negative"),
        ({"arguments": {"x-expires": 0}}, "expires", "must not be 0"),
        ({"arguments": {"x-max-priority": 256}}, "maxPriority", "is too large"),
        ({"arguments": {"x-overflow": "odd"}}, "overflow", "must be 'drop-head'"),
        ({"arguments": {"x-dead-letter-exchange": 1}}, "deadLetterExchange", "must be a string"),
        ({"arguments": {"x-single-active-consumer": "x"}}, "singleActiveConsumer", "must not be of the type longstr"),
        ({"deadLetterRoutingKey": "k"}, "deadLetterRoutingKey", "needs deadLetterExchange"),
        ({"deliveryLimit": 3}, "deliveryLimit", "is not supported by classic queues"),
        ({"type": "quorum", "lazy": True}, "lazy", "is not supported by quorum queues"),
        ({"type": "quorum", "maxPriority": 3}, "maxPriority", "is not supported by quorum queues"),
        ({"type": "quorum", "autoDelete": True}, "autoDelete", "is not supported by queues of this type"),
        ({"type": "quorum", "durable": False}, "durable", "must be true for a queue of this type"),
    ],
)
def test_a_refusal_of_the_broker_names_the_clients_field(
    service: Service, body: dict[str, Any], field: str, says: str
) -> None:
    problem = assert_problem(service.post("/createQueue", {"queueName": "q", **body}), 400, "refused_by_broker", says)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert "{" not in problem["detail"], "Erlang's terms tell a client nothing"


def test_the_api_answers_503_with_retry_after_while_the_broker_is_down(service: Service, broker: BrokerNode) -> None:
    broker.stop()
    for answer in (
        service.get("/getQueues"),
        service.get("/getQueue", queueName="q"),
        service.post("/createQueue", {"queueName": "q"}),
        service.post("/purgeQueue", {"queueName": "q"}),
        service.delete("/deleteQueue", {"queueName": "q"}),
    ):
        assert_problem(answer, 503, "broker_unavailable", "management API")
        assert int(answer.headers["Retry-After"]) > 0
        assert "guest" not in answer.get_data(as_text=True)
