"""Idempotency-Key: however often a request is made, it is carried out once."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from werkzeug.test import TestResponse

from app import APIS
from domain.errors import Conflict
from domain.idempotency import KeptAnswer, Known, Reservation
from gateway.mongo.collection import Document
from gateway.mongo.idempotency import IdempotentAnswers
from gateway.mongo.secrets import Sealer
from services.idempotency import Idempotency, Outcome
from tests.api.client import PASSWORD, Api, Gunicorn
from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.store import StoreNode

OPERATIONS = [operation for routes in APIS for operation in routes.operations]
CREATE_OR_PUBLISH = (
    "/create",
    "/messagePublish",
    "/bindQueue",
    "/replayDeadLetters",
    "/moveDeadLetters",
    "/deleteDeadLetters",
)
BRIEF: dict[str, Any] = {"tz_aware": True, "serverSelectionTimeoutMS": 500, "timeoutMS": 5000}
CREATED = KeptAnswer(201, "application/json", '{"message": "canary-4711"}')


def keyed(api: Api, key: str, path: str, body: Any, **headers: str) -> TestResponse:
    return api("POST", path, json=body, headers={"Idempotency-Key": key, **headers})


def test_every_post_that_creates_or_publishes_takes_a_key() -> None:
    wanted = {one.path for one in OPERATIONS if one.method == "POST" and one.path.startswith(CREATE_OR_PUBLISH)}
    assert {one.path for one in OPERATIONS if one.idempotent} == wanted


@pytest.mark.broker_independent
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


@pytest.mark.broker_independent
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


def test_a_later_api_key_or_user_of_the_same_name_does_not_get_the_answers_of_the_first(api: Api) -> None:
    body = {"name": "made", "role": "viewer"}
    shop, carol = {"name": "shop", "role": "admin"}, {"username": "carol", "password": PASSWORD, "role": "admin"}

    def as_shop() -> Api:
        other = Api(api.app)
        other.token = api("POST", "/createApiKey", json=shop).json["key"]
        return other

    def as_carol() -> Api:
        api("POST", "/createUser", json=carol)
        other = Api(api.app)
        assert other.login("carol").status_code == 200
        return other

    for make, end in (
        (as_shop, ("/deleteApiKey", {"name": "shop"})),
        (as_carol, ("/deleteUser", {"username": "carol"})),
    ):
        first = make()
        assert keyed(first, "k", "/createApiKey", body).status_code == 201
        assert keyed(first, "k", "/createApiKey", body).headers["Idempotent-Replayed"] == "true"
        assert api("DELETE", end[0], json=end[1]).status_code == 200
        answer = keyed(make(), "k", "/createApiKey", body)
        assert_problem(answer, 409, "conflict")
        assert "Idempotent-Replayed" not in answer.headers
        assert api("DELETE", "/deleteApiKey", json={"name": "made"}).status_code == 200


def test_a_new_password_keeps_the_answers(api: Api) -> None:
    carol = api.as_user("carol", "admin")
    body = {"name": "made", "role": "viewer"}
    assert keyed(carol, "k", "/createApiKey", body).status_code == 201
    api("PATCH", "/updateUser", json={"username": "carol", "password": "another good one"})
    assert carol.login("carol", "another good one").status_code == 200
    assert keyed(carol, "k", "/createApiKey", body).headers["Idempotent-Replayed"] == "true"


def test_a_refusal_is_kept_too_with_its_form(api: Api) -> None:
    body = {"username": "admin", "password": "correct horse battery", "role": "viewer"}
    first, second = (keyed(api, "k", "/createUser", body) for _ in range(2))
    assert_problem(first, 409, "conflict")
    assert (second.data, second.content_type) == (first.data, "application/problem+json")
    assert second.headers["Idempotent-Replayed"] == "true"


def test_a_request_that_fails_validation_leaves_the_key_free(api: Api) -> None:
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

    def files() -> bytes:
        return b"".join(path.read_bytes() for path in store.process.log.parent.rglob("*") if path.is_file())

    wait_until(lambda: b"fingerprint" in files(), 20, "the store having written its files")
    content = files()
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


KEPT, LEASE = timedelta(hours=24), timedelta(minutes=2)


@pytest.fixture
def make_answers(store: StoreNode, tmp_path: Path) -> Iterator[Callable[..., IdempotentAnswers]]:
    """Makes the collection, by a separate client, on the store or whatever forwards to it."""
    clients: list[MongoClient[Document]] = []

    def make(port: int = 0, **periods: timedelta) -> IdempotentAnswers:
        client: MongoClient[Document] = MongoClient("127.0.0.1", port or store.port, **BRIEF)
        clients.append(client)
        return IdempotentAnswers(client["idempotency"], Sealer.of("a key", tmp_path), **{"kept": KEPT, **periods})

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def answers(make_answers: Callable[..., IdempotentAnswers]) -> IdempotentAnswers:
    return make_answers(kept=KEPT, lease=LEASE)


@pytest.fixture
def now() -> datetime:
    """The time of the test: the store itself deletes expired documents."""
    return datetime.now(UTC)


def reserved(answers: IdempotentAnswers, now: datetime, fingerprint: str = "f") -> Reservation:
    wanted = Reservation("id", secrets.token_hex(4), fingerprint)
    assert answers.reserve(wanted, now) is None
    return wanted


def known(answers: IdempotentAnswers, now: datetime, fingerprint: str = "f") -> Known | None:
    return answers.reserve(Reservation("id", secrets.token_hex(4), fingerprint), now)


def test_while_one_is_under_way_the_others_are_told_so(answers: IdempotentAnswers, now: datetime) -> None:
    reserved(answers, now)
    assert known(answers, now + LEASE / 2) == Known("f", None)


def test_an_answer_that_was_copied_to_another_key_is_not_given(
    answers: IdempotentAnswers, now: datetime, store: StoreNode
) -> None:
    """It may hold an API key that somebody else has created."""
    for identity in ("victim", "thief"):
        wanted = Reservation(identity, secrets.token_hex(4), "f")
        assert answers.reserve(wanted, now) is None
        answers.keep(wanted, KeptAnswer(201, "application/json", identity), now)
    with MongoClient[Document](store.uri("idempotency")) as client:
        kept = client["idempotency"].idempotency
        victim, thief = (kept.find_one({"_id": identity}) or {} for identity in ("victim", "thief"))
        kept.replace_one({"_id": "thief"}, thief | {"answer": victim["answer"]})
    with pytest.raises(Conflict, match=r"cannot be decrypted \(the document was changed in the database\)"):
        answers.reserve(Reservation("thief", "h", "f"), now)


def test_a_request_whose_process_died_can_be_made_again_however_often(
    answers: IdempotentAnswers, now: datetime
) -> None:
    late = reserved(answers, now)
    for lease in range(1, 5):
        assert known(answers, now + LEASE * lease, "another") == Known("f", None)
        second = reserved(answers, now + LEASE * lease)
        answers.keep(late, CREATED, now)
        answers.renew(late, now + LEASE * 9)
        answers.free(late)
        assert known(answers, now + LEASE * lease) == Known("f", None), "who lost its lease has no say any more"
        late = second
    answers.keep(second, CREATED, now + LEASE * 4)
    assert known(answers, now + LEASE * 4) == Known("f", CREATED)


def test_a_lease_that_is_renewed_holds_and_a_late_renewal_does_not_undo_the_answer(
    answers: IdempotentAnswers, now: datetime
) -> None:
    first = reserved(answers, now)
    for half in range(1, 8):
        answers.renew(first, now + LEASE * half / 2)
    assert known(answers, now + LEASE * 4) == Known("f", None)
    answers.keep(first, CREATED, now + LEASE * 4)
    answers.renew(first, now + LEASE * 4)
    assert known(answers, now + LEASE * 9) == Known("f", CREATED)


def test_an_answer_is_forgotten_after_its_time_again_and_again(answers: IdempotentAnswers, now: datetime) -> None:
    for day in range(4):
        later = now + KEPT * day
        answers.keep(reserved(answers, later, f"{day}"), CREATED, later)
        assert known(answers, later + KEPT - timedelta(seconds=1), "x") == Known(f"{day}", CREATED)


def test_a_key_that_was_freed_is_new(answers: IdempotentAnswers, now: datetime) -> None:
    answers.free(reserved(answers, now))
    reserved(answers, now, "another")


@pytest.fixture
def started() -> Iterator[Callable[[IdempotentAnswers], Idempotency]]:
    """Starts the service over a collection, as a process does; its thread ends with the test."""
    services: list[Idempotency] = []

    def start(answers: IdempotentAnswers) -> Idempotency:
        services.append(Idempotency(answers, retry_after=0.1))
        services[-1].start()
        return services[-1]

    yield start
    for one in services:
        one.stop(5)


def test_a_request_that_outlives_several_leases_is_carried_out_once(
    make_answers: Callable[..., IdempotentAnswers], started: Callable[[IdempotentAnswers], Idempotency]
) -> None:
    lease = timedelta(seconds=1)
    service, other = (started(make_answers(lease=lease)) for _ in range(2))
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Outcome:
        begun.set()
        assert go_on.wait(30)
        return CREATED, True

    def never() -> Outcome:
        raise AssertionError("carried out a second time")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(service.once, "u", "k", b"request", slow)
        assert begun.wait(10)
        until = time.monotonic() + 4 * lease.total_seconds()
        try:
            while time.monotonic() < until:
                with pytest.raises(Conflict):
                    other.once("u", "k", b"request", never)
        finally:
            go_on.set()
        assert first.result(10) == (CREATED, False)
    assert other.once("u", "k", b"request", never) == (CREATED, True)


def test_an_answer_that_the_store_did_not_take_is_kept_when_it_is_back(
    make_answers: Callable[..., IdempotentAnswers],
    started: Callable[[IdempotentAnswers], Idempotency],
    store: StoreNode,
    proxy: Callable[[int], Proxy],
) -> None:
    way = proxy(store.port)
    service, other = started(make_answers(way.port)), started(make_answers())
    for number in range(3):

        def answer() -> Outcome:
            way.refuse()
            return CREATED, True

        key = f"k{number}"
        assert service.once("u", key, b"request", answer) == (CREATED, False)
        with pytest.raises(Conflict):
            other.once("u", key, b"request", answer)
        way.flow()
        wait_until(lambda key=key: _kept(other, key), 20, "the answer being kept")


def _kept(service: Idempotency, key: str) -> bool:
    def never() -> Outcome:
        raise AssertionError("carried out a second time")

    try:
        return service.once("u", key, b"request", never) == (CREATED, True)
    except Conflict:
        return False
