"""Configuration as code over HTTP: what is exported, planned and applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.service import Service, assert_problem
from tests.support.amqp import publish_confirmed
from tests.support.node import BrokerNode
from tests.support.processes import wait_until

pytestmark = pytest.mark.versions

PASSWORD = "a password of alice"
TOKEN = "a-bearer-token"
EVERYTHING: dict[str, Any] = {
    "exchanges": [
        {"exchange": "events", "type": "topic", "alternateExchange": "rest", "arguments": {"x-note": "mine"}},
        {"exchange": "rest", "type": "fanout", "internal": True},
    ],
    "queues": [
        {"queueName": "invoices", "type": "quorum", "deliveryLimit": 7},
        {
            "queueName": "orders", "messageTtl": 60000, "maxLength": 10, "overflow": "reject-publish",
            "deadLetterExchange": "", "deadLetterRoutingKey": "orders.dead", "singleActiveConsumer": True,
        },
        {"queueName": "orders.2"}, {"queueName": "orders.default"}, {"queueName": "orders.large", "maxLength": 9},
    ],
    "bindings": [
        {"exchange": "amq.headers", "queueName": "orders", "arguments": {"x-match": "all", "kind": "order", "n": 3}},
        {"exchange": "events", "queueName": "orders", "routingKey": "order.*"},
        {"exchange": "events", "destinationExchange": "rest", "routingKey": "#"},
    ],
    "policies": [
        {"name": "short", "pattern": "^orders", "applyTo": "queues", "definition": {"max-length": 9}, "priority": 2}
    ],
    "consumers": [
        {
            "queueName": "orders", "name": "erp", "url": "http://127.0.0.1:9/orders?key=**********", "method": "PUT",
            "headers": {"X-Env": "prod", "X-Token": "**********"}, "timeout": 7.0, "ordering": {"header": "x-key"},
            "retry": {"schedule": [1.0, 2.0]}, "rateLimit": {"perSecond": 5.0}, "signingSecret": "**********",
            "filter": {"body": {"a.b": {"$in": [1, None]}}}, "otherwise": {"forward": {"routingKey": "others"}},
            "auth": {"type": "bearer", "token": "**********"},
        },
        {"queueName": "orders", "name": "paused", "url": "http://127.0.0.1:9/p", "paused": True},
        {
            "queueName": "orders", "name": "router", "url": "http://127.0.0.1:9/rest",
            "routes": [
                {"name": "large", "when": {"body": {"total": {"$gte": 100}}}, "url": "http://127.0.0.1:9/large",
                 "auth": {"type": "bearer", "token": "**********"}, "timeout": 3.0},
                {"name": "2", "when": {"headers": {"x-kind": None}}, "url": "http://127.0.0.1:9/second"},
            ],
        },
    ],
    "apiKeys": [
        {"name": "shop", "role": "publisher", "queues": ["orders*"], "expiresAt": "2127-01-31T12:00:00.123000Z"}
    ],
    "users": [{"username": "admin", "role": "admin"}, {"username": "alice", "role": "viewer", "disabled": True}],
}  # fmt: skip
"""As exported: with masks."""


def with_secrets() -> dict[str, Any]:
    """EVERYTHING, with the secrets in it."""
    erp, paused, router = EVERYTHING["consumers"]
    large, second = router["routes"]
    routes = [large | {"auth": {"type": "bearer", "token": TOKEN}}, second]
    shown = {
        "url": "http://127.0.0.1:9/orders?key=k%20k", "auth": {"type": "bearer", "token": TOKEN},
        "headers": {"X-Env": "prod", "X-Token": "secret of the header"}, "signingSecret": "whsec_" + "QUJD" * 10,
    }  # fmt: skip
    users = [EVERYTHING["users"][0], EVERYTHING["users"][1] | {"password": PASSWORD}]
    return EVERYTHING | {"consumers": [erp | shown, paused, router | {"routes": routes}], "users": users}


def apply(service: Service, configuration: dict[str, Any], status: int = 200, **options: bool) -> list[dict[str, Any]]:
    """The steps of an apply."""
    answer = service.post("/applyConfiguration", {"configuration": configuration, **options})
    assert answer.status_code == status, answer.get_json()
    steps: list[dict[str, Any]] = answer.get_json()["steps"]
    return steps


def plan(service: Service, configuration: dict[str, Any], **options: bool) -> list[dict[str, Any]]:
    return apply(service, configuration, dryRun=True, **options)


def export(service: Service, **query: str) -> dict[str, Any]:
    answer = service.get("/exportConfiguration", **query)
    assert answer.status_code == 200, answer.get_json()
    configuration: dict[str, Any] = answer.get_json()["configuration"]
    return configuration


def short(steps: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(step["action"], step["kind"], step["name"], step["state"]) for step in steps]


def test_an_empty_installation_is_made_as_the_configuration_says(service: Service) -> None:
    planned = plan(service, with_secrets())
    assert {step["state"] for step in planned} == {"planned"}
    assert export(service) == {"users": [{"username": "admin", "role": "admin"}]}  # a plan changes nothing

    made = apply(service, with_secrets())
    assert [(step["action"], step["kind"], step["name"]) for step in made] == [
        (step["action"], step["kind"], step["name"]) for step in planned
    ]
    assert {step["state"] for step in made} == {"done"}
    assert export(service) == EVERYTHING
    assert service.get("/getConsumer", name="paused").get_json()["desiredState"] == "paused"

    [key] = [step["key"] for step in made if step["kind"] == "apiKey"]
    held = service.get("/getQueue", queueName="orders", headers={"Authorization": f"Bearer {key}"})
    assert held.status_code == 200


def test_applying_an_export_or_the_same_file_changes_nothing(service: Service) -> None:
    apply(service, with_secrets())
    revision = service.get("/getConsumer", name="erp").get_json()["revision"]
    for configuration in (export(service), with_secrets()):
        assert plan(service, configuration) == []
        assert apply(service, configuration) == []
    assert service.get("/getConsumer", name="erp").get_json()["revision"] == revision


@pytest.mark.broker_independent
def test_no_secret_is_exported_planned_or_answered(service: Service) -> None:
    first = service.post("/applyConfiguration", {"configuration": with_secrets(), "dryRun": True})
    apply(service, with_secrets())
    changed = with_secrets()
    changed["consumers"] = [changed["consumers"][0] | {"auth": {"type": "bearer", "token": "another-token"}}]
    second = service.post("/applyConfiguration", {"configuration": changed})
    assert [step["changes"] for step in second.get_json()["steps"]] == [
        [{"field": "auth", "from": EVERYTHING["consumers"][0]["auth"], "to": EVERYTHING["consumers"][0]["auth"]}]
    ]
    assert service.store.consumers.get("erp").spec.auth.revealed()["token"] == "another-token"  # type: ignore[union-attr]
    third = service.get("/exportConfiguration")
    for answer in (first, second, third):
        for secret in (PASSWORD, TOKEN, "k%20k", "secret of the header", "QUJDQUJD", "another-token"):
            assert secret not in answer.get_data(as_text=True)


def test_applying_changes_and_shows_only_the_differences(service: Service) -> None:
    apply(service, with_secrets())
    file = with_secrets()
    file["policies"] = [file["policies"][0] | {"priority": 5}]
    file["consumers"] = [
        {name: value for name, value in file["consumers"][0].items() if name != "rateLimit"} | {"timeout": 9.0},
        file["consumers"][1] | {"paused": False},
    ]
    file["users"] = [file["users"][1] | {"role": "operator", "disabled": False}]
    steps = apply(service, file)
    assert {
        (step["name"], one["field"], str(one["from"]), str(one["to"])) for step in steps for one in step["changes"]
    } == {
        ("short", "priority", "2", "5"),
        ("erp", "rateLimit", "{'perSecond': 5.0, 'burst': 1}", "None"),
        ("erp", "timeout", "7.0", "9.0"),
        ("paused", "paused", "True", "False"),
        ("alice", "role", "viewer", "operator"),
        ("alice", "disabled", "True", "False"),
    }
    assert plan(service, file) == []
    assert service.get("/getConsumer", name="paused").get_json()["desiredState"] == "enabled"
    assert service.store.consumers.get("erp").spec.auth.revealed()["token"] == TOKEN  # type: ignore[union-attr]


@pytest.mark.broker_independent
def test_the_settings_that_a_file_leaves_open_stay(service: Service) -> None:
    apply(service, with_secrets())
    file = {
        "consumers": [{"queueName": "orders", "name": "paused", "url": "http://127.0.0.1:9/p"}],
        "users": [{"username": "alice", "role": "viewer"}],
    }
    assert plan(service, file) == []


@pytest.mark.broker_independent
@pytest.mark.parametrize(
    ("section", "entry", "words"),
    [
        ("queues", {"queueName": "orders", "maxLength": 11}, ["cannot change", "maxLength", "/deleteQueue"]),
        ("exchanges", {"exchange": "rest", "type": "topic"}, ["cannot change type, internal", "/deleteExchange"]),
        ("apiKeys", {"name": "shop", "role": "operator"}, ["cannot change role", "/deleteApiKey"]),
        ("consumers", {"name": "paused", "queueName": "invoices", "url": "http://127.0.0.1:9/"}, ["/deleteConsumer"]),
        ("consumers", {"queueName": "new", "url": "https://127.0.0.1:9/?a=**********"}, ["url", "${env:NAME}"]),
        (
            "consumers",
            {"queueName": "new", "url": "https://127.0.0.1:9/", "signingSecret": "**********"},
            ["signingSecret", "${env:NAME}"],
        ),
        ("consumers", {"queueName": "new", "url": "http://127.0.0.1/", "payload": {"template": "{{ a"}}, ["template"]),
        ("consumers", {"queueName": "new", "url": "http://10.0.0.1/"}, ["10.0.0.1"]),
        ("users", {"username": "bob", "role": "viewer"}, ["password", "${env:NAME}"]),
        ("apiKeys", {"name": "old", "role": "viewer", "expiresAt": "2020-01-01T00:00:00Z"}, ["expiresAt"]),
    ],
)
def test_a_blocked_step_has_a_reason_and_the_other_steps_are_carried_out(
    service: Service, section: str, entry: dict[str, Any], words: list[str]
) -> None:
    apply(service, with_secrets())
    before = export(service)
    file = {section: [entry], "policies": [{"name": "other", "pattern": "^x", "definition": {"max-length": 1}}]}
    planned = plan(service, file)
    steps = apply(service, file, status=207)
    assert [step["state"] for step in planned] == ["planned", "blocked"]
    assert [step["state"] for step in steps] == ["done", "blocked"]
    for word in words:
        assert word in steps[1]["detail"], steps[1]
    assert export(service)[section] == before[section]


@pytest.mark.broker_independent
def test_a_consumer_that_moves_needs_its_credentials_again(service: Service) -> None:
    apply(service, with_secrets())
    file = export(service)
    file["consumers"] = [file["consumers"][0] | {"url": "http://127.0.0.2:9/"}]
    [step] = apply(service, file, status=207)
    assert step["state"] == "blocked"
    assert "credentials are not sent to another place" in step["detail"]


@pytest.mark.broker_independent
@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"queues": [{"queueName": "a"}, {"queueName": "a"}]}, ["queues lists a twice"]),
        ({"queues": [{"queueName": "a", "maxLenght": 1}]}, ["configuration.queues.0.maxLenght", "unknown field"]),
        ({"queues": [{"queueName": "workerrmq.due"}]}, ["configuration.queues.0.queueName", "reserved"]),
        ({"label": "a label"}, ["configuration.label"]),
        (
            {
                "consumers": [
                    {"queueName": "q", "url": "http://127.0.0.1/", "auth": {"type": "bearer", "token": "${env:X}"}}
                ]
            },
            ["configuration.consumers.0", "auth must not contain a reference", "flask rmq apply"],
        ),
        ({"users": [{"username": "u", "role": "viewer", "password": "${file:/etc/shadow}"}]}, ["users.0.password"]),
    ],
)
def test_an_invalid_file_is_refused_as_a_whole(
    service: Service, configuration: dict[str, Any], words: list[str]
) -> None:
    answer = service.post("/applyConfiguration", {"configuration": {**configuration, "exchanges": [{"exchange": "e"}]}})
    assert_problem(answer, 400, "invalid_request", *words)
    assert "exchanges" not in export(service)


def test_prune_deletes_only_what_has_the_label_of_the_file(service: Service) -> None:
    apply(service, with_secrets() | {"label": "shop"})
    service.post("/createQueue", {"queueName": "by-hand"})
    apply(service, {"label": "other", "queues": [{"queueName": "others"}]})
    assert plan(service, with_secrets() | {"label": "shop"}, prune=True) == []

    rest = {"label": "shop", "users": [EVERYTHING["users"][0]]}
    assert plan(service, rest) == []  # without prune, nothing is deleted
    planned = plan(service, rest, prune=True)
    assert {step["action"] for step in planned} == {"delete"}
    steps = apply(service, rest, status=207, prune=True)
    left = [step for step in steps if step["state"] != "done"]
    assert short(left) == [("delete", "queue", "invoices", "blocked")]
    assert "quorum" in left[0]["detail"]

    assert export(service) == {
        "queues": [{"queueName": "by-hand"}, EVERYTHING["queues"][0], {"queueName": "others"}],
        "users": EVERYTHING["users"][:1],
    }
    assert export(service, label="other") == {"label": "other", "queues": [{"queueName": "others"}]}
    assert_problem(
        service.post("/applyConfiguration", {"configuration": {}, "prune": True}), 400, "invalid_request", "label"
    )


@pytest.mark.broker_independent
def test_an_object_that_a_file_takes_up_gets_its_label(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    file = {"label": "shop", "queues": [{"queueName": "orders"}]}
    [step] = apply(service, file)
    assert (step["action"], step["changes"]) == ("change", [{"field": "label", "from": None, "to": "shop"}])
    assert plan(service, file) == []
    assert short(apply(service, {"label": "shop"}, prune=True)) == [("delete", "queue", "orders", "done")]


def test_a_queue_is_deleted_when_the_workers_have_left_it(make_service: Callable[..., Service]) -> None:
    service = make_service(consumers="inline")
    service.app.extensions["runtime"].start()
    consumer = {"queueName": "orders", "url": "http://127.0.0.1:9/"}
    apply(service, {"label": "shop", "queues": [{"queueName": "orders"}], "consumers": [consumer]})
    wait_until(lambda: service.get("/getConsumer", name="orders").get_json()["state"] == "running", 20, "the consumer")
    steps = apply(service, {"label": "shop"}, prune=True)
    assert short(steps) == [("delete", "consumer", "orders", "done"), ("delete", "queue", "orders", "done")]


@pytest.mark.broker_independent
def test_a_label_does_not_outlive_its_object(service: Service) -> None:
    file = {"label": "shop", "queues": [{"queueName": "orders"}]}
    apply(service, file)
    service.delete("/deleteQueue", {"queueName": "orders"})
    apply(service, {"label": "shop"})
    service.post("/createQueue", {"queueName": "orders"})
    assert apply(service, {"label": "shop"}, prune=True) == []


def test_a_queue_with_messages_is_never_deleted(service: Service, broker: BrokerNode) -> None:
    queues = [{"queueName": name} for name in ("full", "taken", "read")]
    apply(service, {"label": "shop", "queues": queues})
    with broker.connect() as connection:
        channel = connection.channel()
        for name in ("full", "taken"):
            publish_confirmed(channel, name, b"x")
        taken = channel.consume("taken", inactivity_timeout=10)
        assert next(taken)[2] == b"x"  # in flight: not ready, and RabbitMQ's if-empty ignores it
        channel.basic_consume("read", lambda *_: None)
        steps = apply(service, {"label": "shop"}, status=207, prune=True)  # before RabbitMQ's statistics know
        assert {step["state"] for step in steps} <= {"failed", "blocked"}
        assert {step["name"] for step in steps} == {"full", "taken", "read"}
    assert len(export(service)["queues"]) == 3
    wait_until(
        lambda: "has 1 message" in str(plan(service, {"label": "shop"}, prune=True)), 15, "RabbitMQ's statistics"
    )


def test_each_change_is_in_the_audit_log_as_the_single_route_would_write_it(service: Service) -> None:
    apply(service, with_secrets() | {"label": "shop"})
    apply(service, {"label": "shop", "users": [EVERYTHING["users"][0]]}, status=207, prune=True)
    service.app.extensions["services"].audit.start()
    wait_until(lambda: len(audit(service)) >= 24, 20, "the entries")
    entries = {(one["action"], tuple(one["resource"].values()), one["user"], one["status"]) for one in audit(service)}
    for action, names in (
        ("createExchange", ("events",)), ("createQueue", ("orders",)), ("bindQueue", ("orders", "events")),
        ("createPolicy", ("short",)), ("createUser", ("alice",)), ("createConsumer", ("orders", "erp")),
        ("createApiKey", ("shop",)), ("deleteExchange", ("rest",)), ("deleteQueue", ("orders",)),
        ("unbindQueue", ("orders", "events")), ("deletePolicy", ("short",)), ("deleteUser", ("alice",)),
        ("deleteConsumer", ("orders", "erp")), ("deleteApiKey", ("shop",)),
    ):  # fmt: skip
        assert (action, names, "admin", 200) in entries, (action, entries)
    assert ("applyConfiguration", (), "admin", 207) in entries


def audit(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get("/getAuditLog", pageSize=500).get_json()
    return found


def test_a_change_that_rabbitmq_refuses_fails_alone(service: Service) -> None:
    file = {
        "queues": [{"queueName": "orders", "arguments": {"x-max-age": "1D"}}, {"queueName": "others"}],
        "bindings": [{"exchange": "none", "queueName": "others"}],
    }
    steps = apply(service, file, status=207)
    assert [(step["name"], step["state"]) for step in steps][:2] == [("orders", "failed"), ("others", "done")]
    assert steps[2]["state"] == "failed"
    assert "none" in steps[2]["detail"]


@pytest.mark.broker_independent
def test_only_admins_export_and_apply(service: Service) -> None:
    assert service.get("/exportConfiguration", role="operator").status_code == 403
    assert service.post("/applyConfiguration", {"configuration": {}}, role="operator").status_code == 403


@pytest.mark.versions
def test_arguments_that_the_management_api_does_not_show_are_left_out(service: Service, broker: BrokerNode) -> None:
    values = {
        "null": None,
        "bytes": b"\xff\x00",
        "deep": [1, {"a": b"\xfe"}],
        "text": "a",
        "utf-8": b"ok",
        "number": -5,
    }
    with broker.connect() as connection:
        channel = connection.channel()
        channel.exchange_declare("match", "headers", durable=True, arguments={"x-b": b"\xff"})
        channel.exchange_declare("shown", "headers", durable=True)
        channel.queue_declare("orders", durable=True)
        for name, value in values.items():
            channel.queue_bind("orders", "shown", name, {"x-match": "all", name: value})
    export = service.get("/exportConfiguration").get_json()
    exported = {one["routingKey"]: one["arguments"] for one in export["configuration"]["bindings"]}
    shown = {"text": "a", "utf-8": "ok", "number": -5}
    assert exported == {name: {"x-match": "all", name: value} for name, value in shown.items()}
    names = ("x-b", "bytes", "deep", "null")
    hidden = {name: one for one in export["notExported"] for name in names if f"'{name}'" in one["reason"]}
    assert len(export["notExported"]) == len(names)
    assert {name: one["kind"] for name, one in hidden.items()} == {
        "x-b": "exchange", "bytes": "binding", "deep": "binding", "null": "binding",
    }  # fmt: skip
    assert "not UTF-8" in hidden["bytes"]["reason"]
    assert "null" in hidden["null"]["reason"].split("'null'")[1]


def test_an_export_names_the_objects_that_a_configuration_cannot_contain(service: Service, broker: BrokerNode) -> None:
    broker.management.put("exchanges", "/", "bad\x07name", body={"type": "fanout"})
    service.post("/createApiKey", {"name": "old", "role": "viewer", "expiresAt": "2127-01-01T00:00:00Z"})
    [left] = service.get("/exportConfiguration").get_json()["notExported"]
    assert (left["kind"], left["name"]) == ("exchange", "bad\x07name")
    assert "control characters" in left["reason"]
