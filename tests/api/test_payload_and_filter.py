"""Filters and templates by the API: refused with a sentence, stored, changed, and seen in a dry run."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.api.consumers import CONSUMER, create_consumer
from tests.api.service import Service, assert_problem
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.broker_independent

FILTER = {"body": {"total": {"$gte": 100}, "customer.country": None}, "$or": [{"routingKey": "a"}, {"headers.x": 1}]}
TEMPLATE = {"template": '{"id": {{ body.id }}}', "contentType": "application/vnd.shop+json"}
SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()


def test_filter_and_payload_are_kept_as_they_are_given_and_can_be_changed(service: Service) -> None:
    shown = create_consumer(service, filter=FILTER, otherwise="discard", payload=TEMPLATE)
    assert (shown["filter"], shown["otherwise"], shown["payload"]) == (FILTER, "discard", TEMPLATE)
    assert service.post("/createConsumer", CONSUMER | {"filter": FILTER, "otherwise": "discard", "payload": TEMPLATE}
                        ).status_code == 200  # fmt: skip
    other = {"forward": {"exchange": "", "routingKey": "elsewhere"}}
    changed = service.patch("/updateConsumer", {"name": "orders", "otherwise": other, "payload": "envelope"}).json
    assert changed["consumer"]["filter"] == FILTER
    assert (changed["consumer"]["otherwise"], changed["consumer"]["payload"]) == (other, "envelope")
    assert service.get("/getConsumer", name="orders").json["filter"] == FILTER
    assert_problem(
        service.patch("/updateConsumer", {"name": "orders", "filter": None}), 400, "invalid_request", "needs filter"
    )
    gone = service.patch("/updateConsumer", {"name": "orders", "filter": None, "otherwise": None}).json["consumer"]
    assert (gone["filter"], gone["otherwise"]) == (None, None)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"filter": {"body": {"a": {"$regex": "x"}}}, "otherwise": "discard"}, "filter", "unknown operator $regex"),
        ({"filter": {"body": {"a": 1}}}, "otherwise", "is required with filter"),
        ({"filter": [], "otherwise": "discard"}, "filter", "must be a JSON object"),
        ({"payload": {"template": "a\nb\n{{ body.id"}}, "payload.template", "line 3: "),
        ({"payload": {"template": "{% include 'x' %}{% if %}"}}, "payload.template", "line 1: "),
        ({"payload": {"template": "{{ " + "[" * 9000 + " }}"}}, "payload.template", "line 1: "),
        ({"payload": {"template": "x" * 20_000}}, "payload", "template: must have at most 16384 characters"),
        ({"payload": {"template": "x", "contentType": "a\r\nb: c"}}, "payload", "contentType: must be printable"),
        ({"payload": {"template": "x", "engine": "perl"}}, "payload", "engine: unknown field"),
        ({"payload": "xml"}, "payload", "'raw', 'envelope', 'cloudevents' or"),
    ],
)
def test_invalid_payloads_and_filters_are_refused_at_creation(
    service: Service, fields: Any, field: str, words: str
) -> None:
    problem = assert_problem(service.post("/createConsumer", CONSUMER | fields), 400, "invalid_request", words)
    assert problem["errors"][0]["field"] == field
    assert service.get("/getConsumers").json == []


def test_a_change_to_a_template_that_is_none_is_refused(service: Service) -> None:
    create_consumer(service)
    answer = service.patch("/updateConsumer", {"name": "orders", "payload": {"template": "{{ a"}})
    assert_problem(answer, 400, "invalid_request", "payload.template: line 1")


@pytest.mark.parametrize("stored", ['{"body": {"a": {"$regex": "x"}}}', "no JSON", "[]", 7])
def test_a_stored_filter_that_is_none_suspends_its_consumer_and_hides_no_other(service: Service, stored: Any) -> None:
    create_consumer(service, name="sound", queueName="sound")
    create_consumer(service, filter=FILTER, otherwise="discard")
    service.store.consumers._collection().update_one({"name": "orders"}, {"$set": {"spec.filter": stored}})
    shown = {one["name"]: one for one in service.get("/getConsumers").json}
    assert set(shown) == {"orders", "sound"}
    assert shown["orders"]["state"] == "suspended"
    assert "filter" in shown["orders"]["reason"]
    changed = service.patch("/updateConsumer", {"name": "orders", "filter": FILTER, "otherwise": "discard"})
    assert changed.json["consumer"]["filter"] == FILTER


@pytest.mark.parametrize(
    "forward", [{"exchange": "events", "routingKey": "orders.x"}, {"exchange": "", "routingKey": "invoices"}]
)
def test_a_scoped_api_key_forwards_to_its_own_queues_only(service: Service, forward: dict[str, str]) -> None:
    key = service.post("/createApiKey", {"name": "k", "role": "operator", "queues": ["orders*"]}).json["key"]
    headers = {"Authorization": f"Bearer {key}"}
    fields = {"filter": {"routingKey": "a"}, "otherwise": {"forward": forward}}
    answer = service.post("/createConsumer", CONSUMER | fields, headers=headers)
    assert_problem(answer, 403, "outside_key_scope")
    mine = fields | {"otherwise": {"forward": {"routingKey": "orders.other"}}}
    assert service.post("/createConsumer", CONSUMER | mine, headers=headers).status_code == 201
    answer = service.patch("/updateConsumer", {"name": "orders", **fields}, headers=headers)
    assert_problem(answer, 403, "outside_key_scope")


def test_a_dry_run_answers_the_request_with_credentials_masked_and_sends_nothing(
    service: Service, target: Target, unique_name: str
) -> None:
    create_consumer(
        service, queueName=unique_name, url=target.url("/in/{messageId}?key=s3cr3t"), signingSecret=SECRET,
        payload=TEMPLATE, headers={"X-Api-Key": "hunter2hunter2", "X-Env": "prod"},
        auth={"type": "bearer", "token": "tok-tok-tok"},
    )  # fmt: skip
    sample = {"queueName": unique_name, "dryRun": True, "message": {"id": 7}, "properties": {"messageId": "m-1"}}
    answer = service.post("/testConsumer", sample)
    assert answer.status_code == 200, answer.json
    assert (answer.json["messageId"], answer.json["outcome"], answer.json["error"]) == ("m-1", "send", None)
    request = answer.json["request"]
    assert (request["method"], request["body"], request["bodyBase64"]) == ("POST", '{"id": 7}', None)
    assert request["url"] == target.url("/in/m-1?key=**********")
    headers = request["headers"]
    assert headers["Content-Type"] == "application/vnd.shop+json"
    assert headers["webhook-signature"].startswith("v1,")
    assert (headers["X-Api-Key"], headers["X-Env"], headers["Authorization"]) == ("**********", "prod", "**********")
    assert "s3cr3t" not in answer.text
    assert "hunter2" not in answer.text
    assert "tok-tok" not in answer.text
    assert not target.requests


def test_a_dry_run_tells_why_nothing_would_be_sent(service: Service, target: Target, unique_name: str) -> None:
    fields = {"filter": {"body": {"total": {"$gte": 100}}}, "otherwise": "deadLetter", "payload": TEMPLATE}
    create_consumer(service, queueName=unique_name, url=target.url(), **fields)
    for dry_run in (True, False):
        sample = {"queueName": unique_name, "dryRun": dry_run, "message": {"total": 1}}
        small = service.post("/testConsumer", sample).json
        assert (small["error"], small["outcome"]) == ("filtered", "filtered")
        lacking = service.post("/testConsumer", sample | {"message": {"total": 100}}).json
        assert (lacking["error"], lacking["outcome"]) == ("unsendable", "reject")
        assert "`body.id` is undefined" in lacking["reason"]
    assert not target.requests


def test_a_dry_run_takes_the_message_at_the_head_of_the_queue_which_stays_there(
    service: Service, target: Target, unique_name: str
) -> None:
    create_consumer(service, queueName=unique_name, url=target.url(), payload=TEMPLATE)
    ask = {"queueName": unique_name, "dryRun": True, "fromQueue": True}
    assert_problem(service.post("/testConsumer", ask), 404, "queue_not_found")
    service.post("/createQueue", {"queueName": unique_name})
    assert_problem(service.post("/testConsumer", ask), 404, "queue_empty")
    for number in (1, 2):
        service.post("/messagePublish", {"queueName": unique_name, "message": {"id": number}})
    for _ in range(3):
        assert service.post("/testConsumer", ask).json["request"]["body"] == '{"id": 1}'
    held = service.post("/getMessages", {"queueName": unique_name}).json
    assert [json.loads(one["message"])["id"] for one in held] == [1, 2]
    assert_problem(
        service.post("/testConsumer", {"queueName": unique_name, "fromQueue": True}), 400, "invalid_request", "dryRun"
    )
    assert_problem(service.post("/testConsumer", ask | {"message": 1}), 400, "invalid_request", "fromQueue")
    wait_until(lambda: not target.requests)
