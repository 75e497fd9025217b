"""Idempotency-Key: however often a request is made, it is carried out once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app import APIS
from domain.idempotency import KeptAnswer, Known, Reservation
from gateway.mongo import open_store
from gateway.mongo.idempotency import KEPT, LEASE, IdempotentAnswers
from tests.api.client import Api, Gunicorn
from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode

OPERATIONS = [operation for routes in APIS for operation in routes.operations]
CREATE_OR_PUBLISH = ("/create", "/messagePublish", "/bindQueue", "/replayDeadLetters")
NOW = datetime.now(UTC)  # the store itself forgets what has expired
CREATED = KeptAnswer(201, "application/json", '{"message": "canary-4711"}')


def keyed(api: Api, key: str, path: str, body: Any, **headers: str) -> TestResponse:
    return api("POST", path, json=body, headers={"Idempotency-Key": key, **headers})


def test_every_post_that_creates_or_publishes_takes_a_key() -> None:
    wanted = {one.path for one in OPERATIONS if one.method == "POST" and one.path.startswith(CREATE_OR_PUBLISH)}
    assert {one.path for one in OPERATIONS if one.idempotent} == wanted


def test_the_same_request_again_gets_the_same_answer_and_does_nothing(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    body = {"queueName": "orders", "message": "once"}
    first, second = (keyed(service, "k-1", "/messagePublish", body) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.data == second.data
    assert second.content_type == "application/json"
    assert (first.headers.get("Idempotent-Replayed"), second.headers["Idempotent-Replayed"]) == (None, "true")
    assert len(service.post("/getMessages", {"queueName": "orders"}).json) == 1
    assert keyed(service, "k-2", "/messagePublish", body).headers.get("Idempotent-Replayed") is None
    assert len(service.post("/getMessages", {"queueName": "orders"}).json) == 2


def test_without_the_header_every_request_counts(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    for _ in range(2):
        service.post("/messagePublish", {"queueName": "orders", "message": "twice"})
    assert len(service.post("/getMessages", {"queueName": "orders"}).json) == 2


def test_another_request_under_the_same_key_is_a_mismatch(api: Api) -> None:
    user = {"username": "carol", "password": "correct horse battery", "role": "viewer"}
    assert keyed(api, "k", "/createUser", user).status_code == 201
    for path, body in (
        ("/createUser", {**user, "password": "correct horse batteries"}),
        ("/createApiKey", {"name": "carol", "role": "viewer"}),
    ):
        assert_problem(keyed(api, "k", path, body), 422, "idempotency_mismatch")
    assert [one["username"] for one in api("GET", "/getUsers").json] == ["admin", "carol"]


def test_keys_of_different_users_do_not_meet(api: Api) -> None:
    other = api.as_user("other", "admin")
    body = {"username": "carol", "password": "correct horse battery", "role": "viewer"}
    assert keyed(api, "k", "/createUser", body).status_code == 201
    answer = keyed(other, "k", "/createUser", body)
    assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (409, None)


def test_a_refusal_is_kept_too_with_its_form(api: Api) -> None:
    body = {"username": "admin", "password": "correct horse battery", "role": "viewer"}
    first, second = (keyed(api, "k", "/createUser", body) for _ in range(2))
    assert_problem(first, 409, "conflict")
    assert (second.data, second.content_type) == (first.data, "application/problem+json")
    assert second.headers["Idempotent-Replayed"] == "true"


def test_what_was_refused_before_it_began_leaves_the_key_free(api: Api) -> None:
    assert keyed(api, "k", "/createUser", {"username": "carol"}).status_code == 400
    body = {"username": "carol", "password": "correct horse battery", "role": "viewer"}
    assert keyed(api, "k", "/createUser", body).status_code == 201


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)  # what is away, and comes back, does not matter here
def test_an_answer_that_blames_us_frees_the_key(service: Service, broker: BrokerNode) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    body = {"queueName": "orders", "message": "x"}
    broker.stop()
    wait_until(lambda: service.get("/health/ready").status_code == 503, 30, "the broker being missed")
    assert keyed(service, "k", "/messagePublish", body).status_code == 503
    broker.start()
    wait_until(lambda: service.get("/health/ready").status_code == 200, 60, "the broker being back")
    answer = keyed(service, "k", "/messagePublish", body)
    assert (answer.status_code, answer.headers.get("Idempotent-Replayed")) == (200, None)


def test_a_message_that_may_be_in_its_queue_is_not_published_again(
    make_service: Callable[..., Service], broker: BrokerNode
) -> None:
    service = make_service(publish_timeout=0.5)
    service.post("/createQueue", {"queueName": "orders"})
    body = {"queueName": "orders", "message": "once"}
    broker.suspend()
    try:
        first = keyed(service, "k", "/messagePublish", body)
    finally:
        broker.resume()
    assert_problem(first, 504, "publish_unconfirmed")
    wait_until(lambda: len(service.post("/getMessages", {"queueName": "orders"}).json) == 1)
    second = keyed(service, "k", "/messagePublish", body)
    assert (second.status_code, second.data) == (504, first.data)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(service.post("/getMessages", {"queueName": "orders"}).json) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "é"])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    body = {"username": "carol", "password": "correct horse battery", "role": "viewer"}
    assert_problem(keyed(api, key, "/createUser", body), 400, "invalid_request", "Idempotency-Key")


def test_neither_keys_nor_bodies_nor_answers_are_readable_in_the_store(api: Api, store: StoreNode) -> None:
    body = {"name": "shop", "role": "viewer"}
    first, second = (keyed(api, "canary-key", "/createApiKey", body) for _ in range(2))
    assert first.json["key"] == second.json["key"], "a client that lost the answer still gets its key"
    user = {"username": "carol", "password": "canary password", "role": "viewer"}
    assert keyed(api, "k", "/createUser", user).status_code == 201
    content = b"".join(path.read_bytes() for path in store.process.log.parent.rglob("*") if path.is_file())
    assert b"fingerprint" in content, "this looks into the wrong files"
    for secret in ("canary-key", first.json["key"], "canary password"):
        assert secret.encode() not in content


def test_of_fifty_at_once_exactly_one_publishes(
    gunicorn: Callable[..., Gunicorn], broker: BrokerNode, unique_name: str
) -> None:
    server = gunicorn("--workers", "2", **broker.settings)
    token = server.login()
    wait_until(lambda: all(server.call("GET", "/health/ready").ok for _ in range(6)), 30, "both workers being ready")
    assert server.call("POST", "/createQueue", token, json={"queueName": unique_name}).ok
    body = {"queueName": unique_name, "message": "once"}

    def publish(_: int) -> tuple[int, str | None, bytes]:
        answer = server.call("POST", "/messagePublish", token, json=body, headers={"Idempotency-Key": "k"})
        return answer.status_code, answer.headers.get("Idempotent-Replayed"), answer.content

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(publish, range(50)))
    done = [content for status, _, content in answers if status == 200]
    assert {status for status, _, _ in answers} <= {200, 409}
    assert len(set(done)) == 1
    assert sum(status == 200 and replayed is None for status, replayed, _ in answers) == 1
    held = server.call("POST", "/getMessages", token, json={"queueName": unique_name, "count": 100}).json()
    assert [one["message"] for one in held] == ["once"]


@pytest.fixture
def answers(store: StoreNode, tmp_path: Path) -> IdempotentAnswers:
    return open_store(store.uri("idempotency"), "a key", tmp_path).idempotency


def reserved(answers: IdempotentAnswers, now: datetime = NOW, fingerprint: str = "f") -> Reservation:
    found = answers.reserve("id", fingerprint, now)
    assert isinstance(found, Reservation)
    return found


def test_while_one_is_under_way_the_others_are_told_so(answers: IdempotentAnswers) -> None:
    reserved(answers)
    assert answers.reserve("id", "f", NOW + LEASE / 2) == Known("f", None)


def test_a_request_whose_process_died_can_be_made_again(answers: IdempotentAnswers) -> None:
    late = reserved(answers)
    assert answers.reserve("id", "another", NOW + LEASE) == Known("f", None)
    second = reserved(answers, NOW + LEASE)
    answers.keep(late, "f", CREATED, NOW)
    assert answers.reserve("id", "f", NOW + LEASE) == Known("f", None), "who lost its lease has no say any more"
    answers.keep(second, "f", CREATED, NOW + LEASE)
    assert answers.reserve("id", "f", NOW + LEASE) == Known("f", CREATED)


def test_an_answer_is_forgotten_after_a_day(answers: IdempotentAnswers) -> None:
    answers.keep(reserved(answers), "f", CREATED, NOW)
    assert answers.reserve("id", "f", NOW + KEPT - timedelta(seconds=1)) == Known("f", CREATED)
    reserved(answers, NOW + KEPT, "another")


def test_a_key_that_was_freed_is_new(answers: IdempotentAnswers) -> None:
    answers.free(reserved(answers))
    reserved(answers, fingerprint="another")
