"""Changing consumers over HTTP, and that no secret of theirs comes back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.model import MASK
from tests.api.consumers import CONSUMER, URL, create_consumer
from tests.api.service import Service, assert_problem

pytestmark = pytest.mark.broker_independent

SECRETS = {
    "url": "https://canary-1@erp.example/in?api_key=canary-6&token=canary-7",
    "headers": {"X-Pin": "canary-2", "X-Api-Key": "canary-3", "Cookie": "s=canary-4", "X-Env": "prod"},
    "signingSecret": f"whsec_canary5{'A' * 25}",
}


def test_a_change_leaves_what_it_does_not_name_and_null_resets(service: Service) -> None:
    create_consumer(
        service, prefetch=10, timeout=5, headers={"X-Env": "prod", "X-Site": "7"}, retry={"schedule": [1, 2]}
    )
    changes = {"prefetch": 20, "timeout": None, "headers": {"X-Site": None, "X-New": "1"}, "retry": {"jitter": 0.1}}
    answer = service.patch("/updateConsumer", {"queueName": "orders"} | changes)
    assert answer.status_code == 200, answer.get_json()
    changed = answer.get_json()["consumer"]
    assert (changed["prefetch"], changed["timeout"], changed["url"]) == (20, 30, URL)
    assert changed["headers"] == {"X-Env": "prod", "X-New": MASK}
    assert changed["retry"] == {"schedule": [1, 2], "jitter": 0.1, "giveUpAfter": None}


def test_with_a_revision_only_what_has_not_been_changed_since_is_changed(service: Service) -> None:
    seen = create_consumer(service, prefetch=10)["revision"]
    mine = {"queueName": "orders", "ifRevision": seen, "timeout": 7}
    assert service.patch("/updateConsumer", {"queueName": "orders", "prefetch": 20}).status_code == 200
    assert_problem(service.patch("/updateConsumer", mine), 412, "consumer_changed", f"revision {seen + 1}")
    answer = service.patch("/updateConsumer", mine | {"ifRevision": seen + 1})
    assert answer.status_code == 200
    changed = answer.get_json()["consumer"]
    assert (changed["timeout"], changed["prefetch"], changed["revision"]) == (7, 20, seen + 2)


def test_of_changes_at_once_to_different_fields_none_is_undone(service: Service) -> None:
    create_consumer(service)
    fields = {"prefetch": 3, "timeout": 7, "connectTimeout": 2, "payload": "envelope", "reply": True, "method": "PUT"}
    with ThreadPoolExecutor(len(fields)) as threads:
        changes = [{"queueName": "orders", name: value} for name, value in fields.items()]
        answers = list(threads.map(lambda change: service.patch("/updateConsumer", change), changes))
    assert {answer.status_code for answer in answers} == {200}
    consumer = service.get("/getConsumer", queueName="orders").get_json()
    assert {name: consumer[name] for name in fields} == fields


def test_ordering_and_auth_are_replaced_as_a_whole(service: Service) -> None:
    create_consumer(
        service, ordering={"header": "x-key"}, auth={"type": "basic", "username": "me", "password": "canary"}
    )
    changes = {"ordering": {"jsonPath": "customer.id"}, "auth": {"type": "bearer", "token": "canary"}}
    answer = service.patch("/updateConsumer", {"queueName": "orders", "forwardHeaders": ["x-tenant"]} | changes)
    assert answer.status_code == 200, answer.get_json()
    changed = answer.get_json()["consumer"]
    assert (changed["ordering"], changed["forwardHeaders"]) == ({"jsonPath": "customer.id"}, ["x-tenant"])
    assert set(changed["auth"]) == {"type", "token"}
    assert "canary" not in answer.get_data(as_text=True)
    reset = service.patch("/updateConsumer", {"queueName": "orders", "auth": None, "ordering": None})
    assert (reset.get_json()["consumer"]["auth"], reset.get_json()["consumer"]["ordering"]) == (None, "none")


def test_a_change_that_changes_nothing_restarts_nothing(service: Service) -> None:
    created = create_consumer(service, prefetch=10)
    same = service.patch("/updateConsumer", {"queueName": "orders", "prefetch": 10}).get_json()["consumer"]
    assert same["revision"] == created["revision"]


def test_a_change_of_what_is_suspended_gives_it_another_try(service: Service) -> None:
    created = create_consumer(service)
    service.store.consumers.suspend(created["consumerId"], created["revision"], "HTTP 404 ten times")
    changed = service.patch("/updateConsumer", {"queueName": "orders", "url": f"{URL}s"}).get_json()["consumer"]
    assert (changed["desiredState"], changed["url"]) == ("enabled", f"{URL}s")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prefetch": 0}, "prefetch"),
        ({"url": "ftp://erp.example"}, "url"),
        ({"url": None}, "url"),
        ({"retry": {"schedule": ["soon"]}}, "retry.schedule.0"),
        ({"headers": {"Host": "x"}}, "headers"),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(service: Service, changes: dict[str, Any], field: str) -> None:
    created = create_consumer(service)
    problem = assert_problem(
        service.patch("/updateConsumer", {"queueName": "orders"} | changes), 400, "invalid_request"
    )
    assert problem["errors"][0]["field"] == field
    assert service.get("/getConsumer", queueName="orders").get_json()["revision"] == created["revision"]


def test_no_answer_shows_a_secret(service: Service) -> None:
    answers = [
        service.post("/createConsumer", CONSUMER | SECRETS),
        service.post("/createConsumer", CONSUMER | SECRETS),
        service.post("/createConsumer", CONSUMER | SECRETS | {"signingSecret": f"whsec_canary6{'A' * 25}"}),
        service.get("/getConsumers"),
        service.get("/getConsumer", queueName="orders"),
        service.patch("/updateConsumer", {"queueName": "orders", "prefetch": 5}),
        service.patch("/updateConsumer", {"queueName": "orders", "signingSecret": "whsec_canary7", "prefetch": 0}),
        service.post("/pauseConsumer", {"queueName": "orders"}),
        service.post("/resumeConsumer", {"queueName": "orders"}),
        service.delete("/deleteConsumer", {"queueName": "orders"}),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 200, 400, 200, 200, 200]
    for answer in answers:
        assert "canary" not in answer.get_data(as_text=True)
    shown = answers[4].get_json()
    assert shown["headers"]["X-Env"] == "prod"
    assert set(shown["headers"]) == set(SECRETS["headers"])


def test_a_masked_value_that_is_sent_back_keeps_the_secret(service: Service) -> None:
    service.post("/createConsumer", CONSUMER | SECRETS)
    shown = service.get("/getConsumer", queueName="orders").get_json()
    same = {name: shown[name] for name in ("url", "headers", "signingSecret")}
    service.patch("/updateConsumer", {"queueName": "orders", "prefetch": 5, **same})
    spec = service.store.consumers.get("orders").spec
    assert spec.signing_secret is not None
    assert (spec.url, spec.headers, spec.prefetch) == (SECRETS["url"], SECRETS["headers"], 5)
    assert spec.signing_secret.get_secret_value() == SECRETS["signingSecret"]
    login = {"type": "basic", "username": "me", "password": "canary-8"}
    create_consumer(service, name="basic", auth=login)
    shown = service.get("/getConsumer", name="basic").get_json()
    assert shown["auth"]["password"] != "canary-8"
    renamed = {**shown["auth"], "username": "you"}
    assert service.patch("/updateConsumer", {"name": "basic", "auth": renamed}).status_code == 200
    assert service.store.consumers.get("basic").spec.stored()["auth"] == {**login, "username": "you"}
    service.patch("/updateConsumer", {"name": "orders", "signingSecret": None})
    assert service.store.consumers.get("orders").spec.signing_secret is None


LOGIN = {"auth": {"type": "bearer", "token": "canary"}, "headers": {"X-Api-Key": "canary", "X-Env": "prod"}}
MASKED = {"auth": {"type": "bearer", "token": MASK}, "headers": {"X-Api-Key": MASK}}


@pytest.mark.parametrize("url", ["https://thief.example/", "http://erp.example/", "https://erp.example:8443/"])
@pytest.mark.parametrize("sent", [{}, MASKED], ids=["left out", "masked"])
def test_credentials_do_not_follow_to_another_place_unless_they_are_given_again(
    service: Service, url: str, sent: dict[str, Any]
) -> None:
    create_consumer(service, **LOGIN)
    answer = service.patch("/updateConsumer", {"queueName": "orders", "url": url} | sent)
    problem = assert_problem(answer, 400, "invalid_request", "auth and headers.X-Api-Key")
    assert [error["field"] for error in problem["errors"]] == ["auth", "headers.X-Api-Key"]
    assert service.store.consumers.get("orders").spec.url == URL
    dropped = {"auth": None, "headers": {"X-Api-Key": None}}
    for again in (LOGIN, dropped):
        answer = service.patch("/updateConsumer", {"queueName": "orders", "url": url} | again)
        assert answer.status_code == 200, answer.get_json()
        service.patch("/updateConsumer", {"queueName": "orders", "url": URL} | LOGIN)


def test_credentials_stay_when_the_url_leads_to_the_same_place(service: Service) -> None:
    create_consumer(service, **LOGIN)
    changed = service.patch("/updateConsumer", {"queueName": "orders", "url": "https://ERP.example:443/v2"} | MASKED)
    assert changed.status_code == 200, changed.get_json()
    assert service.store.consumers.get("orders").spec.stored()["auth"] == LOGIN["auth"]


def test_masked_parts_of_a_url_go_to_another_path_but_not_to_another_place(service: Service) -> None:
    create_consumer(service, url="https://robot:canary@erp.example/in?key=canary-2")
    moved = f"https://{MASK}@erp.example/out?v=2&key={MASK}"
    assert service.patch("/updateConsumer", {"queueName": "orders", "url": moved}).status_code == 200
    url = "https://robot:canary@erp.example/out?v=2&key=canary-2"
    assert service.store.consumers.get("orders").spec.url == url
    elsewhere = (
        f"{MASK}@thief.example/",
        f"other:{MASK}@erp.example/",
        f"thief.example/?key={MASK}",
        f"erp.example/?{MASK}",
    )
    for url in elsewhere:
        answer = service.patch("/updateConsumer", {"queueName": "orders", "url": f"https://{url}"})
        problem = assert_problem(answer, 400, "invalid_request")
        assert problem["errors"][0] == {
            "field": "url",
            "detail": "is the mask of a hidden value; send the value itself",
        }


@pytest.mark.parametrize("masked", [MASKED, {"url": f"https://{MASK}@erp.example/"}])
def test_a_new_consumer_is_not_made_of_masks(service: Service, masked: dict[str, Any]) -> None:
    assert_problem(service.post("/createConsumer", CONSUMER | masked), 400, "invalid_request")


def test_a_user_name_that_is_the_credential_is_masked_and_stays_what_it_is(service: Service) -> None:
    auth = {"type": "basic", "username": "sk_live_canary", "password": ""}
    shown = create_consumer(service, auth=auth)["auth"]
    assert shown["username"] == MASK
    assert service.patch("/updateConsumer", {"queueName": "orders", "auth": shown, "prefetch": 2}).status_code == 200
    assert service.store.consumers.get("orders").spec.stored()["auth"] == auth


def test_how_long_a_replaced_signing_secret_holds_is_shown(service: Service) -> None:
    created = create_consumer(service, signingSecret=f"whsec_{'A' * 32}")
    assert created["signingOverlapUntil"] is None
    changes = {"queueName": "orders", "signingSecret": f"whsec_{'B' * 32}"}
    until = service.patch("/updateConsumer", changes).get_json()["consumer"]["signingOverlapUntil"]
    left = datetime.fromisoformat(until) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=55) < left <= timedelta(hours=24)
