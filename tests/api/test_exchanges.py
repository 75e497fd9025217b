"""Exchanges and bindings over HTTP: what is answered, and how the broker then routes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode
from tests.support.processes import wait_until


@pytest.fixture
def queue(service: Service) -> str:
    """A queue to bind."""
    assert service.post("/createQueue", {"queueName": "orders"}).status_code == 201
    return "orders"


def publish(service: Service, exchange: str, routing_key: str = "", **headers: Any) -> int:
    """The status of publishing a message."""
    properties = {"headers": headers} if headers else {}
    body = {"exchange": exchange, "routingKey": routing_key, "message": "x", "properties": properties}
    return service.post("/messagePublish", body).status_code


def test_an_exchange_is_new_once_then_the_same_then_gone(service: Service, broker: BrokerNode) -> None:
    body = {"exchange": "events", "type": "topic", "alternateExchange": "rest", "arguments": {"x-note": "mine"}}
    assert service.post("/createExchange", body).status_code == 201
    assert service.post("/createExchange", body).status_code == 200
    held = broker.management.get("exchanges", "/", "events").json()
    assert (held["type"], held["durable"], held["internal"], held["auto_delete"]) == ("topic", True, False, False)
    assert held["arguments"] == {"alternate-exchange": "rest", "x-note": "mine"}
    assert service.delete("/deleteExchange", {"exchange": "events"}).status_code == 200
    assert_problem(service.delete("/deleteExchange", {"exchange": "events"}), 404, "exchange_not_found", "'events'")


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"type": "fanout"}, {"field": "type", "detail": "is topic; you asked for fanout"}),
        ({"durable": False}, {"field": "durable", "detail": "is true; you asked for false"}),
        ({"alternateExchange": "rest"}, {"field": "alternateExchange", "detail": "is unset; you asked for rest"}),
    ],
)
def test_a_conflict_with_an_existing_exchange_names_the_field(
    service: Service, other: dict[str, Any], differs: dict[str, str]
) -> None:
    body = {"exchange": "events", "type": "topic"}
    service.post("/createExchange", body)
    problem = assert_problem(service.post("/createExchange", body | other), 409, "exchange_exists_otherwise")
    assert problem["errors"] == [differs]


def test_exchanges_are_listed_by_name(service: Service) -> None:
    for name in ("events-b", "events-a"):
        service.post("/createExchange", {"exchange": name, "type": "headers", "internal": True})
    listed = service.get("/getExchanges", name="EVENTS-").get_json()
    assert [one["exchange"] for one in listed] == ["events-a", "events-b"]
    assert listed[0] == {
        "exchange": "events-a",
        "type": "headers",
        "durable": True,
        "autoDelete": False,
        "internal": True,
        "arguments": {},
        "publishInRate": 0.0,
        "publishOutRate": 0.0,
    }
    every = service.get("/getExchanges", pageSize=3)
    assert [one["exchange"] for one in every.get_json()] == ["", "amq.direct", "amq.fanout"]
    assert int(every.headers["X-Total-Count"]) > 6


def test_the_services_own_exchanges_and_bindings_are_listed_only_on_request(
    service: Service, queue: str, broker: BrokerNode
) -> None:
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare("workerrmq.own", "direct", durable=True)
        channel.queue_bind(queue, "workerrmq.own", "key")
    for path in ("/getExchanges", "/getBindings"):
        for options in ({"name": "WORKERRMQ.own"}, {"name": "^workerrmq.own", "useRegex": "true"}):
            assert service.get(path, **options).get_json() == []
            [found] = service.get(path, **options, includeInternal="true").get_json()
            assert found["exchange"] == "workerrmq.own"
        assert "workerrmq.own" not in service.get(path).text


def test_an_exchange_with_bindings_is_kept_when_asked(service: Service, queue: str) -> None:
    service.post("/createExchange", {"exchange": "events"})
    service.post("/bindQueue", {"exchange": "events", "queueName": queue})
    kept = service.delete("/deleteExchange", {"exchange": "events", "ifUnused": True})
    assert_problem(kept, 412, "exchange_in_use")
    assert service.delete("/deleteExchange", {"exchange": "events"}).status_code == 200


def test_a_binding_routes_until_it_is_removed(service: Service, queue: str) -> None:
    service.post("/createExchange", {"exchange": "events", "type": "topic"})
    binding = {"exchange": "events", "queueName": queue, "routingKey": "order.*"}
    assert service.post("/bindQueue", binding).status_code == 201
    assert service.post("/bindQueue", binding).status_code == 200
    assert publish(service, "events", "order.new") == 200
    assert service.post("/unbindQueue", binding).status_code == 200
    assert publish(service, "events", "order.new") == 422
    assert_problem(service.post("/unbindQueue", binding), 404, "binding_not_found", "order.*")


def test_a_headers_exchange_matches_by_arguments(service: Service, queue: str) -> None:
    service.post("/createExchange", {"exchange": "events", "type": "headers"})
    binding = {"exchange": "events", "queueName": queue, "arguments": {"x-match": "all", "kind": "order", "n": 1}}
    other = binding | {"arguments": {"x-match": "any", "kind": "invoice"}}
    assert service.post("/bindQueue", binding).status_code == 201
    assert service.post("/bindQueue", other).status_code == 201, "other arguments are another binding"
    assert publish(service, "events", kind="order", n=1) == 200
    assert publish(service, "events", kind="order", n=2) == 422
    assert publish(service, "events", kind="invoice") == 200
    assert service.post("/unbindQueue", other).status_code == 200
    assert publish(service, "events", kind="invoice") == 422
    assert publish(service, "events", kind="order", n=1) == 200


def test_an_exchange_may_feed_another(service: Service, queue: str) -> None:
    service.post("/createExchange", {"exchange": "outer", "type": "topic"})
    service.post("/createExchange", {"exchange": "inner", "type": "fanout", "internal": True})
    service.post("/bindQueue", {"exchange": "outer", "destinationExchange": "inner", "routingKey": "#"})
    service.post("/bindQueue", {"exchange": "inner", "queueName": queue})
    assert publish(service, "outer", "any.thing") == 200
    wait_until(lambda: service.get("/getQueue", queueName=queue).get_json()["messages"] == 1)


def test_an_alternate_exchange_gets_what_has_no_queue(service: Service, queue: str) -> None:
    service.post("/createExchange", {"exchange": "rest", "type": "fanout"})
    service.post("/bindQueue", {"exchange": "rest", "queueName": queue})
    service.post("/createExchange", {"exchange": "events", "type": "direct", "alternateExchange": "rest"})
    assert publish(service, "events", "nobody") == 200


def test_bindings_are_listed_of_all_of_an_exchange_of_a_queue_and_between(service: Service, queue: str) -> None:
    service.post("/createQueue", {"queueName": "other"})
    for exchange in ("a", "b"):
        service.post("/createExchange", {"exchange": exchange, "type": "topic"})
        for name in (queue, "other"):
            service.post("/bindQueue", {"exchange": exchange, "queueName": name, "routingKey": "#"})
    service.post("/bindQueue", {"exchange": "a", "destinationExchange": "b", "arguments": {"x": 1}})

    def ends(**which: Any) -> set[tuple[str, str]]:
        found = service.get("/getBindings", **which).get_json()
        return {(one["exchange"], one["queueName"] or one["destinationExchange"]) for one in found}

    between = {("a", queue), ("a", "other"), ("b", queue), ("b", "other")}
    assert ends() == between | {("a", "b")}
    assert ends(exchange="a") == {("a", queue), ("a", "other"), ("a", "b")}
    assert ends(queueName=queue) == {("a", queue), ("b", queue)}
    assert ends(queueName=queue, exchange="b") == {("b", queue)}
    assert service.get("/getBindings", exchange="b", queueName=queue).get_json() == [
        {"exchange": "b", "queueName": queue, "destinationExchange": None, "routingKey": "#", "arguments": {}}
    ]
    assert service.get("/getBindings", pageSize=2).headers["X-Total-Count"] == "5"
    named = service.get("/getBindings", name=queue[3:], sort="exchange", fields="exchange").get_json()
    assert [one["exchange"] for one in named] == sorted(one["exchange"] for one in named) != []
    assert ends(queueName="nope") == ends(exchange="nope") == set()


@pytest.mark.parametrize(
    ("binding", "code", "name"),
    [
        ({"exchange": "nope", "queueName": "orders"}, "exchange_not_found", "'nope'"),
        ({"exchange": "amq.topic", "queueName": "nope"}, "queue_not_found", "'nope'"),
        ({"exchange": "amq.topic", "destinationExchange": "nope"}, "exchange_not_found", "'nope'"),
    ],
)
def test_a_binding_says_which_of_its_ends_is_missing(
    service: Service, queue: str, binding: dict[str, Any], code: str, name: str
) -> None:
    assert_problem(service.post("/bindQueue", binding), 404, code, name)


@pytest.mark.broker_independent
@pytest.mark.parametrize(
    ("path", "body", "field", "word"),
    [
        ("/createExchange", {}, "exchange", "required"),
        ("/createExchange", {"exchange": ""}, "exchange", "empty"),
        ("/createExchange", {"exchange": "amq.mine"}, "exchange", "amq."),
        ("/createExchange", {"exchange": "e", "type": "odd"}, "type", "'direct'"),
        ("/createExchange", {"exchange": "e\r"}, "exchange", "line breaks"),
        (
            "/createExchange",
            {"exchange": "e", "alternateExchange": "a", "arguments": {"alternate-exchange": "b"}},
            "",
            "alternateExchange is given twice",
        ),
        ("/createExchange", {"exchange": "e", "arguments": {"x": None}}, "arguments", "null"),
        ("/deleteExchange", {"exchange": "amq.topic"}, "exchange", "amq."),
        ("/bindQueue", {"exchange": "e"}, "", "either queueName or destinationExchange"),
        ("/bindQueue", {"exchange": "e", "queueName": "q", "destinationExchange": "f"}, "", "either"),
        ("/bindQueue", {"exchange": "", "queueName": "q"}, "exchange", "give queueName"),
        ("/messagePublish", {"exchange": "", "routingKey": "q", "message": "x"}, "exchange", "give queueName"),
        ("/bindQueue", {"exchange": "e", "queueName": "q", "routingKey": "k" * 256}, "routingKey", "255 bytes"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_with_the_field_and_a_sentence(
    service: Service, path: str, body: dict[str, Any], field: str, word: str
) -> None:
    method = "DELETE" if path.startswith("/delete") else "POST"
    problem = assert_problem(service.call(method, path, body), 400, "invalid_request")
    assert problem["errors"][0]["field"] == field
    assert word in problem["errors"][0]["detail"]


def test_a_match_that_the_broker_does_not_know_is_the_clients_fault(service: Service, queue: str) -> None:
    binding = {"exchange": "amq.headers", "queueName": queue, "arguments": {"x-match": "most"}}
    assert_problem(service.post("/bindQueue", binding), 400, "refused_by_broker", "x-match")


def test_a_type_of_a_plugin_is_for_the_broker_to_know(service: Service) -> None:
    answer = service.post("/createExchange", {"exchange": "e", "type": "x-odd"})
    problem = assert_problem(answer, 400, "refused_by_broker", "'x-odd'", "plugin")
    assert problem["errors"][0]["field"] == "type"


@pytest.mark.broker_independent
def test_looking_takes_a_viewer_and_changing_an_operator(service: Service) -> None:
    assert service.get("/getExchanges", role="viewer").status_code == 200
    assert service.get("/getBindings", role="viewer").status_code == 200
    for method, path, body in (
        ("POST", "/createExchange", {"exchange": "e"}),
        ("DELETE", "/deleteExchange", {"exchange": "e"}),
        ("POST", "/bindQueue", {"exchange": "e", "queueName": "q"}),
        ("POST", "/unbindQueue", {"exchange": "e", "queueName": "q"}),
    ):
        assert_problem(service.call(method, path, body, role="publisher"), 403, "forbidden")
