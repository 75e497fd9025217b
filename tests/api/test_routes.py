"""Consumers with routes by the API: one call makes, changes and deletes the consumers of all routes."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from domain.model import MASK
from tests.api.client import Api
from tests.api.consumers import CONSUMER, create_consumer
from tests.api.service import Service, assert_problem
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.broker_independent

HOST = "https://erp.example"
LARGE = {"body": {"total": {"$gte": 100}}}
SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()
ROUTES: list[dict[str, Any]] = [
    {
        "name": "large", "when": LARGE, "url": f"{HOST}/large?key=s3cr3t-s3cr3t",
        "headers": {"X-Api-Key": "hunter2hunter2"}, "auth": {"type": "bearer", "token": "tok-large"},
        "signingSecret": SECRET, "retry": {"schedule": [1, 2]},
        "breaker": {"failures": 3}, "rateLimit": {"perSecond": 5},
    },
    {"when": {"headers": {"x-a": None}, "$or": [{"routingKey": "a"}, {"body.x": 1}]}, "url": f"{HOST}/2"},
]  # fmt: skip
NAMES = ["orders", "orders.2", "orders.default", "orders.large"]


def names(service: Service) -> list[str]:
    return [one["name"] for one in service.get("/getConsumers").json]


def routed(service: Service, **fields: Any) -> dict[str, Any]:
    return create_consumer(service, **{"routes": ROUTES, "auth": {"type": "bearer", "token": "tok-own"}, **fields})


def test_each_route_becomes_a_consumer_with_a_queue_of_its_own(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders", "type": "quorum"})
    shown = routed(service, filter={"body.id": {"$gt": 0}}, otherwise="discard", ordering="queue", prefetch=7)
    assert names(service) == NAMES
    assert [route["name"] for route in shown["routes"]] == ["large", "2"]
    assert shown["routes"][1]["when"] == ROUTES[1]["when"]
    large = service.get("/getConsumer", name="orders.large").json
    assert (large["queueName"], large["router"], large["routes"]) == ("orders.large", "orders", [])
    assert (large["retry"]["schedule"], large["breaker"]["failures"]) == ([1, 2], 3)
    assert (large["filter"], large["otherwise"], large["ordering"]) == (None, None, "none")
    assert large["rateLimit"]["perSecond"] == 5
    own = service.get("/getConsumer", name="orders.default").json
    assert (own["url"], own["ordering"], own["prefetch"], own["filter"]) == (CONSUMER["url"], "queue", 7, None)
    for queue in ("orders.large", "orders.2", "orders.default"):
        found = service.get("/getQueue", queueName=queue).json
        assert (found["type"], found["durable"]) == ("quorum", True)


def test_a_get_sent_back_by_patch_changes_nothing(service: Service) -> None:
    routed(service)
    before = service.get("/getConsumers").json
    shown = service.get("/getConsumer", name="orders").json
    assert "hunter2" not in str(shown)
    assert "tok-" not in str(shown)
    assert "s3cr3t" not in str(shown)
    assert SECRET not in str(shown)
    fields = ("routes", "url", "auth", "headers", "retry", "signingSecret")
    answer = service.patch("/updateConsumer", {"name": "orders", **{name: shown[name] for name in fields}})
    assert answer.status_code == 200, answer.json
    assert service.get("/getConsumers").json == before
    stored = service.store.consumers.get("orders.large").spec.stored()
    assert stored["auth"]["token"] == "tok-large"
    assert stored["headers"] == {"X-Api-Key": "hunter2hunter2"}
    assert stored["url"] == ROUTES[0]["url"]
    assert stored["signingSecret"] == SECRET


def test_the_same_call_again_changes_nothing_and_another_one_conflicts(service: Service) -> None:
    routed(service)
    before = service.get("/getConsumers").json
    same = CONSUMER | {"routes": ROUTES, "auth": {"type": "bearer", "token": "tok-own"}}
    assert service.post("/createConsumer", same).status_code == 200
    guess = same | {"routes": [ROUTES[0] | {"auth": {"type": "bearer", "token": "other"}}, ROUTES[1]]}
    assert service.post("/createConsumer", guess).status_code == 200
    assert service.store.consumers.get("orders.large").spec.stored()["auth"]["token"] == "tok-large"
    other = same | {"routes": [ROUTES[0], ROUTES[1] | {"timeout": 7}]}
    assert_problem(service.post("/createConsumer", other), 409, "conflict", "differs in routes")
    assert_problem(service.post("/createConsumer", CONSUMER), 409, "conflict", "routes")
    assert service.get("/getConsumers").json == before


@pytest.mark.parametrize("left", [[], ["orders.large"], ["orders.2", "orders.default"], NAMES[1:]])
def test_a_creation_that_ended_halfway_is_completed_by_the_same_call(service: Service, left: list[str]) -> None:
    routed(service)
    for name in set(NAMES) - set(left):
        service.store.consumers.delete(service.store.consumers.get(name).id)
    assert service.post("/createConsumer", CONSUMER | {"routes": ROUTES}).status_code in (200, 201)
    assert names(service) == NAMES
    assert service.get("/getConsumer", name="orders.large").json["auth"] == {"type": "bearer", "token": "**********"}


def test_a_creation_with_other_routes_after_a_failed_one_leaves_none_of_those(service: Service) -> None:
    routed(service)
    service.store.consumers.delete(service.store.consumers.get("orders").id)
    one = {"name": "other", "when": LARGE, "url": f"{HOST}/other"}
    assert service.post("/createConsumer", CONSUMER | {"routes": [one]}).status_code == 201
    assert names(service) == ["orders", "orders.default", "orders.other"]


def test_an_update_changes_adds_and_removes_routes(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    revision = routed(service)["revision"]
    kept = service.get("/getConsumer", name="orders").json["routes"][0]
    service.post("/messagePublish", {"queueName": "orders.2", "message": "left"})
    new = {"name": "new", "when": {"routingKey": "n"}, "url": f"{HOST}/new"}
    answer = service.patch("/updateConsumer", {"name": "orders", "routes": [new, kept | {"timeout": 9}], "timeout": 8})
    assert answer.status_code == 200, answer.json
    shown = answer.json["consumer"]
    assert [(one["name"], one["timeout"]) for one in shown["routes"]] == [("new", 30), ("large", 9)]
    assert shown["timeout"] == service.get("/getConsumer", name="orders.default").json["timeout"] == 8
    assert shown["revision"] == revision + 1
    assert names(service) == ["orders", "orders.default", "orders.large", "orders.new"]
    assert service.get("/getQueue", queueName="orders.2").status_code == 200
    assert service.store.consumers.get("orders.large").spec.stored()["auth"]["token"] == "tok-large"
    assert service.patch("/updateConsumer", {"name": "orders", "timeout": 5, "ifRevision": revision}).status_code == 412
    plain = service.patch("/updateConsumer", {"name": "orders", "routes": None}).json["consumer"]
    assert (plain["routes"], plain["timeout"], plain["auth"]["type"]) == ([], 8, "bearer")
    assert names(service) == ["orders"]
    assert service.store.consumers.get("orders").spec.stored()["auth"]["token"] == "tok-own"


def test_removing_a_route_with_messages_in_its_queue_gives_a_warning(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    routed(service)
    service.post("/messagePublish", {"queueName": "orders.large", "message": "left"})
    wait_until(lambda: service.get("/getQueue", queueName="orders.large").json["messages"] == 1, 15)
    answer = service.patch("/updateConsumer", {"name": "orders", "routes": []}).json
    assert any("'orders.large'" in one and "1 messages" in one for one in answer["warnings"]), answer["warnings"]


def test_a_plain_consumer_can_become_one_with_routes(service: Service) -> None:
    create_consumer(service, auth={"type": "bearer", "token": "tok-own"}, timeout=7)
    answer = service.patch("/updateConsumer", {"name": "orders", "routes": ROUTES})
    assert answer.status_code == 200, answer.json
    assert names(service) == NAMES
    own = service.store.consumers.get("orders.default").spec.stored()
    assert (own["auth"]["token"], own["timeout"]) == ("tok-own", 7)
    assert service.store.consumers.get("orders").spec.auth is None


def test_credentials_of_a_route_do_not_follow_it_to_another_host(service: Service) -> None:
    routed(service)
    route = service.get("/getConsumer", name="orders").json["routes"][0]
    moved = route | {"url": "https://evil.example/"}
    answer = service.patch("/updateConsumer", {"name": "orders", "routes": [moved]})
    problem = assert_problem(answer, 400, "invalid_request", "routes.0", "auth", "headers.X-Api-Key")
    assert "routes.0.auth" in [one["field"] for one in problem["errors"]]
    renamed = moved | {"name": "stolen"}
    assert_problem(service.patch("/updateConsumer", {"name": "orders", "routes": [renamed]}), 400, "invalid_request")
    assert names(service) == NAMES


def test_a_deletion_deletes_the_routes_and_keeps_the_queues(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    routed(service)
    create_consumer(service, queueName="others", name="orders.3")
    half = service.store.consumers.get("orders.2")
    service.store.consumers.delete(half.id)  # as after a deletion that failed
    assert service.delete("/deleteConsumer", {"name": "orders"}).status_code == 200
    assert names(service) == ["orders.3"]
    assert service.get("/getQueue", queueName="orders.large").status_code == 200


def test_a_route_is_changed_and_deleted_by_its_router_only(service: Service) -> None:
    routed(service)
    which = {"name": "orders.large"}
    answer = service.patch("/updateConsumer", which | {"timeout": 3})
    assert_problem(answer, 409, "consumer_is_route", "'orders.large' is a route of 'orders'")
    assert_problem(service.delete("/deleteConsumer", which), 409, "consumer_is_route")
    assert service.post("/pauseConsumer", which).json["consumer"]["state"] == "paused"
    assert service.post("/resumeConsumer", which).status_code == 200
    service.store.consumers.delete(service.store.consumers.get("orders").id)  # as after a creation that failed halfway
    assert service.delete("/deleteConsumer", which).status_code == 200


def test_a_consumer_that_is_no_route_keeps_its_name(service: Service) -> None:
    create_consumer(service, queueName="others", name="orders.large")
    before = service.get("/getConsumers").json
    answer = service.post("/createConsumer", CONSUMER | {"routes": ROUTES})
    assert_problem(answer, 409, "conflict", "'orders.large'", "not a route of 'orders'")
    assert service.get("/getConsumers").json == before


@pytest.mark.parametrize(
    ("routes", "field", "words"),
    [
        ([{"when": LARGE}], "routes.0.url", "is required"),
        ([{"url": HOST}], "routes.0.when", "is required"),
        ([{"when": {"body": {"$regex": "x"}}, "url": HOST}], "routes.0.when", "unknown operator"),
        ([{"name": "dlq", "when": LARGE, "url": HOST}], "routes.0.name", "must not be 'dlq'"),
        ([{"name": "default", "when": LARGE, "url": HOST}], "routes.0.name", "must not be 'default'"),
        ([{"name": "a.b", "when": LARGE, "url": HOST}], "routes.0.name", "letters"),
        ([{"name": "a", "when": LARGE, "url": HOST}] * 2, "routes", "different names"),
        ([{"when": LARGE, "url": HOST}] * 51, "routes", "at most 50"),
        ([{"when": LARGE, "url": "http://10.0.0.1/"}], "routes.0.url", "10.0.0.1"),
        ([{"when": LARGE, "url": HOST, "payload": {"template": "{{ a"}}], "routes.0.payload.template", "line 1"),
        ([{"when": LARGE, "url": HOST, "auth": {"type": "bearer", "token": MASK}}], "routes.0.auth.token", "mask"),
        ([{"when": LARGE, "url": HOST, "filter": LARGE}], "routes.0.filter", "unknown field"),
        ([{"when": LARGE, "url": HOST, "routes": []}], "routes.0.routes", "unknown field"),
    ],
)  # fmt: skip
def test_invalid_routes_are_refused_at_creation_and_at_a_change(
    service: Service, routes: Any, field: str, words: str
) -> None:
    for call in (
        lambda: service.post("/createConsumer", CONSUMER | {"routes": routes}),
        lambda: service.patch("/updateConsumer", {"name": "orders", "routes": routes}),
    ):
        answer = call()
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (400, field), answer.json
        assert words in answer.json["errors"][0]["detail"]
        if not names(service):
            create_consumer(service)
    assert names(service) == ["orders"]


def test_a_scoped_api_key_has_routes_of_its_own_queues_only(service: Service) -> None:
    def key(name: str, *queues: str) -> Api:
        body = {"name": name, "role": "operator", "queues": queues}
        client = Api(service.app)
        client.token = service.post("/createApiKey", body).json["key"]
        return client

    narrow, wide = key("narrow", "orders"), key("wide", "orders", "orders.*")
    body = CONSUMER | {"routes": ROUTES}
    assert_problem(narrow("POST", "/createConsumer", json=body), 403, "outside_key_scope")
    assert narrow("POST", "/createConsumer", json=CONSUMER).status_code == 201
    change = {"name": "orders", "routes": ROUTES}
    assert_problem(narrow("PATCH", "/updateConsumer", json=change), 403, "outside_key_scope")
    assert wide("PATCH", "/updateConsumer", json=change).status_code == 200
    for method, path in (("PATCH", "/updateConsumer"), ("DELETE", "/deleteConsumer"), ("POST", "/testConsumer")):
        for which in ({"name": "orders"}, {"queueName": "orders"}):
            assert_problem(narrow(method, path, json=which), 403, "outside_key_scope")
    assert_problem(narrow("GET", "/getConsumer", query_string={"name": "orders"}), 403, "outside_key_scope")
    [listed] = narrow("GET", "/getConsumers").json
    assert [set(route) for route in listed["routes"]] == [{"name", "when"}] * 2
    assert len(wide("GET", "/getConsumers").json) == 4


def test_a_test_says_which_route_a_message_takes(service: Service, target: Target, unique_name: str) -> None:
    routes = [
        {"name": "large", "when": LARGE, "url": target.url("/large"), "signingSecret": SECRET},
        {"name": "key", "when": {"routingKey": "order.*"}, "url": target.url("/key")},
    ]
    create_consumer(
        service,
        queueName=unique_name,
        url=target.url("/own"),
        routes=routes,
        filter={"body.id": 1},
        otherwise="discard",
    )
    ask = {"queueName": unique_name, "message": {"id": 1, "total": 100}}
    dry = service.post("/testConsumer", ask | {"dryRun": True}).json
    assert (dry["route"], dry["request"]["url"], dry["outcome"]) == ("large", target.url("/large"), "send")
    assert "webhook-signature" in dry["request"]["headers"]
    assert dry["request"]["headers"]["X-Queue-Name"] == f"{unique_name}.large"
    own = service.post("/testConsumer", ask | {"message": {"id": 1}}).json
    assert (own["route"], own["outcome"]) == ("default", "success")
    assert [one.path for one in target.requests] == ["/own"]
    filtered = service.post("/testConsumer", ask | {"message": {"id": 2}, "dryRun": True}).json
    assert (filtered["route"], filtered["outcome"]) == (None, "filtered")
    service.post("/createQueue", {"queueName": unique_name})
    service.post("/messagePublish", {"queueName": unique_name, "message": {"id": 1, "total": 200}})
    first = service.post("/testConsumer", {"queueName": unique_name, "dryRun": True, "fromQueue": True}).json
    assert (first["route"], first["request"]["url"]) == ("large", target.url("/large"))


def test_routes_without_rabbitmq_are_stored_and_told(api: Api) -> None:
    answer = api("POST", "/createConsumer", json=CONSUMER | {"routes": ROUTES})
    assert answer.status_code == 201
    assert any("RabbitMQ is available" in one for one in answer.json["warnings"])


def test_a_route_with_ordering_needs_it_in_the_consumer_too(service: Service) -> None:
    route = {"name": "a", "when": LARGE, "url": HOST, "ordering": "queue"}
    told = service.post("/createConsumer", CONSUMER | {"routes": [route]}).json["warnings"]
    assert any("'orders.a' has ordering" in one for one in told)
    told = service.patch("/updateConsumer", {"name": "orders", "ordering": "queue"}).json["warnings"]
    assert not any("ordering" in one for one in told)


def test_a_configuration_holds_a_consumer_with_its_routes_and_changes_one_of_them(service: Service) -> None:
    routed(service)
    told = service.get("/exportConfiguration").json
    assert told["notExported"] == []
    [entry] = told["configuration"]["consumers"]
    assert [route["name"] for route in entry["routes"]] == ["large", "2"]
    body = {"configuration": {"consumers": [entry]}}
    assert service.post("/applyConfiguration", body).json["steps"] == []

    revisions = {one["name"]: one["revision"] for one in service.get("/getConsumers").json}
    entry["routes"][0]["timeout"] = 7.0
    [step] = service.post("/applyConfiguration", body).json["steps"]
    assert (step["state"], [change["field"] for change in step["changes"]]) == ("done", ["routes"])
    assert service.get("/getConsumer", name="orders.large").json["timeout"] == 7
    changed = {one["name"] for one in service.get("/getConsumers").json if one["revision"] != revisions[one["name"]]}
    assert changed == {"orders.large", "orders"}

    del entry["routes"]
    assert service.post("/applyConfiguration", body).json["steps"][0]["state"] == "done"
    assert [one["name"] for one in service.get("/getConsumers").json] == ["orders"]


def test_a_configuration_pauses_the_routing_and_no_route(service: Service) -> None:
    entry = CONSUMER | {"routes": [ROUTES[0] | {"url": "http://127.0.0.1:9/large"}], "paused": True}
    body = {"configuration": {"consumers": [entry]}}
    assert service.post("/applyConfiguration", body).json["steps"][0]["state"] == "done"
    states = {one["name"]: one["desiredState"] for one in service.get("/getConsumers").json}
    assert states == {"orders": "paused", "orders.large": "enabled", "orders.default": "enabled"}

    service.post("/pauseConsumer", {"name": "orders.large"})
    told = service.get("/exportConfiguration").json
    assert [(one["name"], one["kind"]) for one in told["notExported"]] == [("orders.large", "consumer")]
    assert "cannot pause one route" in told["notExported"][0]["reason"]
    assert told["configuration"]["consumers"][0]["paused"] is True


def test_an_interrupted_change_of_routes_is_completed_by_the_configuration(service: Service) -> None:
    routed(service)
    whole = service.get("/exportConfiguration").json["configuration"]["consumers"]
    service.store.consumers.delete(service.get("/getConsumer", name="orders.2").json["consumerId"])
    told = service.get("/exportConfiguration").json
    assert "'2' has no target" in told["notExported"][0]["reason"]
    service.post("/applyConfiguration", {"configuration": {"consumers": whole}})
    assert service.get("/exportConfiguration").json["configuration"]["consumers"] == whole
