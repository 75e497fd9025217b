"""Consumers whose stored definition is not valid: seen, told of, changed and deleted, and no burden to the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from domain.auth import BearerAuth
from domain.consumer import ConsumerSpec
from domain.model import MASK
from gateway.mongo import open_store
from tests.api.client import Api
from tests.api.conftest import database_of
from tests.api.service import assert_problem
from tests.support.store import StoreNode

URL = "https://erp.example/orders"
SEALED = ("headers", "auth", "tls", "signingSecret")
Edit = Callable[..., None]


@pytest.fixture
def edit(api: Api, store: StoreNode, unique_name: str) -> Edit:
    """Two consumers, `broken` and `sound`, and a function that changes what is stored of the first, as somebody might
    do by hand: fields of its spec, None to remove one."""
    for name in ("broken", "sound"):
        body = {"queueName": name, "url": URL, "prefetch": 7, "headers": {"X-Api-Key": "canary"}}
        assert api("POST", "/createConsumer", json=body).status_code == 201

    def edited(**fields: Any) -> None:
        with MongoClient[dict[str, Any]](store.uri(database_of(unique_name))) as client:
            consumers = client.get_default_database().consumers
            document = consumers.find_one({"name": "broken"}) or {}
            spec = {name: value for name, value in (document["spec"] | fields).items() if value is not None}
            consumers.replace_one({"name": "broken"}, document | {"spec": spec})

    return edited


def shown(api: Api) -> dict[str, Any]:
    listed: dict[str, Any] = {one["name"]: one for one in api("GET", "/getConsumers").get_json()}
    assert listed["sound"]["state"] == "waiting", "there is no worker"
    broken: dict[str, Any] = listed["broken"]
    assert broken == api("GET", "/getConsumer", query_string={"name": "broken"}).get_json()
    return broken


FAULTS = [
    ({"url": "http://erp.example:0/"}, "url: must have a port"),
    ({"url": "ftp://me:canary@erp.example/"}, "url: must start with http"),
    ({"url": None}, "url: is required"),
    ({"url": 5}, "url: must be a string"),
    ({"outcomes": {"retry": ["6xx"]}}, "outcomes: unknown rule '6xx'"),
    ({"outcomes": {"success": ["2xx"], "reject": ["2xx"]}}, "outcomes: '2xx' is listed under both"),
    ({"retry": {"schedule": ["soon"]}}, "retry.schedule.0: must be a number"),
    ({"ordering": {"by": "luck"}}, "ordering: must be"),
    ({"prefetch": 0, "timeout": 0}, "timeout: must be greater than 0"),
    ({"queueName": ""}, "queueName: must not be empty"),
]


@pytest.mark.parametrize(("fields", "sentence"), FAULTS)
def test_it_is_suspended_with_a_sentence_and_shown_beside_the_others(
    api: Api, edit: Edit, fields: dict[str, Any], sentence: str
) -> None:
    edit(**fields)
    broken = shown(api)
    assert (broken["state"], broken["desiredState"]) == ("suspended", "suspended")
    assert sentence in broken["reason"]
    assert "canary" not in str(broken)
    sample = api("POST", "/testConsumer", json={"name": "broken"})
    assert_problem(sample, 400, "invalid_request", sentence)


@pytest.mark.parametrize(("fields", "sentence"), [fault for fault in FAULTS if "queueName" not in fault[0]])
def test_a_change_must_give_what_is_wrong_and_then_it_runs(
    api: Api, edit: Edit, fields: dict[str, Any], sentence: str
) -> None:
    edit(**fields)
    wrong = {*fields, *(SEALED if "url" in fields else ())}  # what was sealed is tied to the URL
    answer = api("PATCH", "/updateConsumer", json={"name": "broken", "method": "PUT"})
    problem = assert_problem(answer, 400, "invalid_request")
    assert {error["field"].partition(".")[0] for error in problem["errors"]} == wrong
    assert sentence in "; ".join(f"{error['field']}: {error['detail']}" for error in problem["errors"])
    again: dict[str, Any] = dict.fromkeys(wrong) | {"url": URL, "headers": {"X-Api-Key": "canary"}}
    assert api("PATCH", "/updateConsumer", json={"name": "broken", **again}).status_code == 200
    changed = shown(api)
    assert (changed["state"], changed["desiredState"], changed["url"]) == ("waiting", "enabled", URL)


@pytest.mark.parametrize(
    "some",
    [
        {"method": "PUT"},
        {"headers": {"X-Api-Key": "canary"}, "auth": None},
        {"headers": {"X-Api-Key": MASK}, "auth": None, "tls": None, "signingSecret": None},
        {"headers": {}, "auth": {"type": "bearer", "token": MASK}, "tls": None, "signingSecret": None},
        {"headers": {}, "auth": None, "tls": None, "signingSecret": MASK},
        {"url": URL},
    ],
)
def test_a_change_does_not_enable_a_consumer_without_the_secrets_that_cannot_be_opened(
    api: Api, edit: Edit, some: dict[str, Any]
) -> None:
    edit(url="https://crm.example/orders")
    assert "cannot be decrypted (the document was changed in the database)" in shown(api)["reason"]
    problem = assert_problem(api("PATCH", "/updateConsumer", json={"name": "broken", **some}), 400, "invalid_request")
    assert {error["field"].partition(".")[0] for error in problem["errors"]} <= set(SEALED)
    assert shown(api)["state"] == "suspended"
    assert_problem(api("POST", "/testConsumer", json={"name": "broken"}), 400, "invalid_request", "decrypted")
    whole = {"headers": {"X-Api-Key": "canary"}, "auth": None, "tls": None, "signingSecret": None}
    assert api("PATCH", "/updateConsumer", json={"name": "broken", **whole}).status_code == 200
    assert shown(api)["desiredState"] == "enabled"


def test_a_mask_is_no_value_for_what_was_not_there(api: Api, edit: Edit) -> None:
    for wanted in ({"headers": {"X-New": MASK}}, {"auth": {"type": "bearer", "token": MASK}}):
        answer = api("PATCH", "/updateConsumer", json={"name": "sound", **wanted})
        assert_problem(answer, 400, "invalid_request", "is the mask")


def test_a_field_that_only_a_later_release_knows_suspends_it_here(api: Api, edit: Edit) -> None:
    edit(speed=9)
    assert "speed: unknown field" in shown(api)["reason"]
    answer = api("PATCH", "/updateConsumer", json={"name": "broken", "prefetch": 9})
    assert_problem(answer, 400, "invalid_request", "speed: unknown field")
    edit(speed=None)
    assert (shown(api)["desiredState"], shown(api)["prefetch"]) == ("enabled", 7)


GONE = object()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[(field, GONE) for field in ("state", "reason", "revision", "createdAt", "updatedAt", "queueName", "spec")],
        *[(field, value) for field in ("spec", "sealed") for value in (5, "x", [], True)],
        *[(field, value) for field in ("name", "queueName", "state") for value in (5, {}, None)],
        ("sealed", GONE),
    ],
)
def test_a_document_of_another_shape_does_not_hide_the_others(
    api: Api, edit: Edit, store: StoreNode, unique_name: str, field: str, value: Any
) -> None:
    with MongoClient[dict[str, Any]](store.uri(database_of(unique_name))) as client:
        consumers = client.get_default_database().consumers
        document = consumers.find_one({"name": "broken"}) or {}
        del document[field]
        consumers.replace_one({"name": "broken"}, document if value is GONE else document | {field: value})
    for path in ("/getConsumers", "/getOverview", "/metrics"):
        assert api("GET", path).status_code == 200, path
    listed = api("GET", "/getConsumers").get_json()
    assert "sound" in [one["name"] for one in listed]
    assert [one for one in listed if one["consumerId"] == document["_id"]]
    assert api("DELETE", "/deleteConsumer", json={"consumerId": document["_id"]}).status_code == 200


def test_it_can_be_paused_and_deleted(api: Api, edit: Edit) -> None:
    edit(url="nonsense")
    for method, path in (("POST", "/pauseConsumer"), ("POST", "/resumeConsumer"), ("DELETE", "/deleteConsumer")):
        assert api(method, path, json={"name": "broken"}).status_code == 200
    assert [one["name"] for one in api("GET", "/getConsumers").get_json()] == ["sound"]


def test_an_invalid_secret_is_reported_and_not_shown(
    api: Api, store: StoreNode, unique_name: str, tmp_path: Path
) -> None:
    registry = open_store(store.uri(database_of(unique_name)), "a key", tmp_path).consumers
    auth = BearerAuth(type="bearer", token=SecretStr("canary"))
    spec = ConsumerSpec(queue_name="broken", url=URL, auth=auth)
    registry.create(spec.model_copy(update={"signing_secret": SecretStr("whsec_canary")}))
    found = registry.get("broken")
    assert (found.state, [field for field, _ in found.faults]) == ("suspended", ["signingSecret"])
    assert found.spec.signing_secret is None
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("HTTPS://ERP.example:0443/Orders", "https://erp.example/Orders"),
        ("http://127.1:024100/", "http://127.0.0.1:24100/"),
    ],
)
def test_a_url_that_an_earlier_release_stored_as_it_was_written_is_read_in_its_form(
    api: Api, edit: Edit, written: str, read: str
) -> None:
    unsealed = api("PATCH", "/updateConsumer", json={"name": "broken", "headers": {"X-Api-Key": None}})
    revision = unsealed.get_json()["consumer"]["revision"]
    edit(url=written)
    assert (shown(api)["url"], shown(api)["desiredState"]) == (read, "enabled")
    same = api("PATCH", "/updateConsumer", json={"name": "broken", "prefetch": 7})
    assert same.get_json()["consumer"]["revision"] == revision, "nothing has changed"
