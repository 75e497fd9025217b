"""API keys: what they look like, how far they reach, and how fast they end."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pika import BasicProperties

from app import APIS
from domain.attempt import Attempt
from domain.queue_scope import QueueScope
from routes.scope import NO_QUEUE
from tests.api.client import Api, Gunicorn
from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode

OPERATIONS = [operation for routes in APIS for operation in routes.operations]


def create(api: Api, name: str = "shop", role: str = "operator", **more: Any) -> str:
    answer = api("POST", "/createApiKey", json={"name": name, "role": role, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json["key"])


def with_key(api: Api, key: str) -> Api:
    other = Api(api.app)
    other.token = key
    return other


def test_a_key_is_shown_once_and_kept_only_as_its_hash(api: Api, store: StoreNode) -> None:
    key = create(api, queues=["orders.*"])
    assert re.fullmatch(r"wrmq_[\w-]{43}", key)
    answer = api("GET", "/getApiKeys")
    assert key not in answer.text
    [shown] = answer.json
    assert (shown["name"], shown["role"], shown["queues"], shown["createdBy"]) == (
        "shop", "operator", ["orders.*"], "admin"
    )  # fmt: skip
    files = b"".join(path.read_bytes() for path in store.process.log.parent.rglob("*") if path.is_file())
    assert b"createdBy" in files, "this looks into the wrong files"
    assert key.encode() not in files


def test_a_key_reaches_as_far_as_its_role(api: Api) -> None:
    assert with_key(api, create(api, "reader", "viewer"))("GET", "/getConsumers").status_code == 200
    assert_problem(with_key(api, create(api, "other", "viewer"))("GET", "/getUsers"), 403, "forbidden", "key:other")
    assert with_key(api, create(api, "root", "admin"))("GET", "/getUsers").status_code == 200


def test_a_name_that_is_taken_is_a_conflict_and_only_admins_make_keys(api: Api) -> None:
    create(api)
    assert api("POST", "/createApiKey", json={"name": "shop", "role": "viewer"}).status_code == 409
    operator = api.as_user("olga", "operator")
    assert operator("POST", "/createApiKey", json={"name": "x", "role": "admin"}).status_code == 403


def test_a_deleted_key_is_refused_at_once_and_deleting_it_again_finds_nothing(api: Api) -> None:
    key = create(api)
    assert with_key(api, key)("GET", "/getConsumers").status_code == 200
    assert api("DELETE", "/deleteApiKey", json={"name": "shop"}).status_code == 200
    assert_problem(with_key(api, key)("GET", "/getConsumers"), 401, "token_invalid")
    assert api("DELETE", "/deleteApiKey", json={"name": "shop"}).status_code == 404


def test_a_key_that_is_deleted_on_one_worker_ends_on_all(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn("--workers", "3")
    admin = server.login()
    made = server.call("POST", "/createApiKey", admin, json={"name": "shop", "role": "viewer"})
    key = made.json()["key"]
    assert {server.call("GET", "/getConsumers", key).status_code for _ in range(12)} == {200}, "cached by all"
    assert server.call("DELETE", "/deleteApiKey", admin, json={"name": "shop"}).status_code == 200
    assert {server.call("GET", "/getConsumers", key).status_code for _ in range(12)} == {401}


def test_a_key_ends_at_its_end(api: Api) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    key = create(api, expiresAt=soon.isoformat())
    assert with_key(api, key)("GET", "/getConsumers").status_code == 200
    wait_until(lambda: with_key(api, key)("GET", "/getConsumers").status_code == 401, 20, "the key having expired")
    past = {"name": "late", "role": "viewer", "expiresAt": "2020-01-01T00:00:00Z"}
    assert_problem(api("POST", "/createApiKey", json=past), 400, "invalid_request", "future")


def test_the_last_use_is_noted_but_not_with_every_request(api: Api) -> None:
    user = with_key(api, create(api))

    def last_used() -> Any:
        return api("GET", "/getApiKeys").json[0]["lastUsedAt"]

    assert last_used() is None
    user("GET", "/getConsumers")
    first = last_used()
    assert datetime.now(UTC) - datetime.fromisoformat(first) < timedelta(minutes=1)
    create(api, "another")
    api("DELETE", "/deleteApiKey", json={"name": "another"})  # nothing is cached any more
    user("GET", "/getConsumers")
    assert last_used() == first


def test_keys_are_found_by_a_part_of_their_name_and_sorted(api: Api) -> None:
    for name, days in (("shop", 2), ("Shipping", 1), ("erp", 3)):
        create(api, name, expiresAt=(datetime.now(UTC) + timedelta(days=days)).isoformat())

    def names(**query: Any) -> list[str]:
        return [key["name"] for key in api("GET", "/getApiKeys", query_string=query).json]

    assert names() == ["erp", "Shipping", "shop"]
    assert names(name="SH") == ["Shipping", "shop"]
    assert names(sort="expiresAt", descending=True) == ["erp", "shop", "Shipping"]
    assert names(name="^s|p$", useRegex=True, page=2, pageSize=2) == ["shop"]


def test_a_key_cannot_log_out(api: Api) -> None:
    user = with_key(api, create(api))
    assert_problem(user("POST", "/logout"), 400, "invalid_request", "/deleteApiKey")
    assert user("GET", "/getConsumers").status_code == 200


def test_every_operation_that_names_a_queue_declares_what_it_touches() -> None:
    bindings = {"/bindQueue", "/unbindQueue", "/getBindings"}  # about exchanges, too, so refused to such keys
    inputs = [(one, one.body or one.query) for one in OPERATIONS if one.role is not None]
    naming = [one for one, given in inputs if given is not None and "queue_name" in given.model_fields]
    assert {one.path for one in naming if one.touches is NO_QUEUE} == bindings, "say touches=… (routes/scope.py)"


@pytest.mark.parametrize(
    ("patterns", "name", "admitted"),
    [
        (["orders.*"], "orders.new", True),
        (["orders.*"], "orders.", True),
        (["orders.*"], "orders", False),
        (["orders.*"], "ordersXnew", False),
        (["orders.*"], "x.orders.new", False),
        (["a", "b?"], "b1", True),
        (["a", "b?"], "b", False),
        (["a"], "a\n", False),
        (["a*"], "a\nb", True),
        (["[ab]"], "a", False),
        (["a|b*"], "b", False),
        (["Orders"], "orders", False),
        (["*.b*.c"], "a.b.c", True),
        (["*.b*.c"], "a.bb.b.c.c", True),
        (["a*b*b"], "ab", False),
        (["**"], "", True),
        (["*?b*"], "b", False),
        (["*a" * 100], "a" * 200 + "b", False),  # a search that goes back and forth would never end
        (["*a" * 100], "a" * 200, True),
    ],
)
def test_patterns_know_stars_and_question_marks_and_nothing_else(
    patterns: list[str], name: str, admitted: bool
) -> None:
    assert QueueScope(tuple(patterns)).admits(name) is admitted


MINE, OTHERS = "orders.new", "secret.plans"


@pytest.fixture
def scoped(service: Service) -> Api:
    """A key for `orders.*`, beside a queue, a consumer and messages that are none of its business."""
    for queue in (MINE, OTHERS):
        assert service.post("/createQueue", {"queueName": queue}).status_code == 201
        assert service.post("/messagePublish", {"queueName": queue, "message": "canary"}).status_code == 200
    spy = {"queueName": OTHERS, "url": "http://127.0.0.1:1/", "name": "spy"}
    assert service.post("/createConsumer", spy).status_code == 201
    return with_key(service, create(service, "scoped", "admin", queues=["orders.*"]))


@pytest.mark.broker_independent
def test_a_scoped_key_works_on_its_own_queues(service: Service, scoped: Api) -> None:
    assert scoped("POST", "/createQueue", json={"queueName": "orders.more"}).status_code == 201
    assert scoped("POST", "/messagePublish", json={"queueName": MINE, "message": "x"}).status_code == 200
    assert len(scoped("POST", "/getMessages", json={"queueName": MINE}).json) == 2
    consumer = {"queueName": "orders.more", "url": "http://127.0.0.1:1/", "name": "mine"}
    assert scoped("POST", "/createConsumer", json=consumer).status_code == 201
    assert scoped("GET", "/getConsumer?name=mine").status_code == 200
    assert scoped("DELETE", "/deleteConsumer", json={"name": "mine"}).status_code == 200
    assert scoped("DELETE", "/deleteQueue", json={"queueName": MINE}).status_code == 200


def test_lists_show_a_scoped_key_only_its_own(service: Service, scoped: Api) -> None:
    service.post("/createQueue", {"queueName": "orders.a"})
    service.post("/createQueue", {"queueName": "orders.b"})
    service.post("/createConsumer", {"queueName": "orders.a", "url": "http://127.0.0.1:1/", "name": "mine"})
    wait_until(lambda: scoped("GET", "/getQueues").headers["X-Total-Count"] == "3", 20, "the queues being listed")
    second = scoped("GET", "/getQueues?page=2&pageSize=2")
    assert ([one["queueName"] for one in second.json], second.headers["X-Total-Count"]) == ([MINE], "3")
    for sneaky in ("name=secret", "name=.*%7Csecret.*&useRegex=true", "name=x)%7C(.*&useRegex=true"):
        answer = scoped("GET", f"/getQueues?{sneaky}")
        assert OTHERS not in answer.text
    consumers = scoped("GET", "/getConsumers")
    assert ([one["name"] for one in consumers.json], consumers.headers["X-Total-Count"]) == (["mine"], "1")


@pytest.mark.broker_independent
def test_a_scoped_key_cannot_reach_other_queues_indirectly(scoped: Api) -> None:
    for path, body in (
        ("/messagePublish", {"exchange": "amq.fanout", "routingKey": MINE, "message": "x"}),
        ("/messagePublish", {"queueName": MINE, "message": "x", "properties": {"replyTo": OTHERS}}),
        ("/messagePublish", {"messages": [{"queueName": MINE, "message": "1"}, {"queueName": OTHERS, "message": "2"}]}),
        ("/createQueue", {"queueName": "orders.dlx", "deadLetterExchange": "amq.fanout"}),
        ("/createQueue", {"queueName": "orders.dlx", "deadLetterExchange": "", "deadLetterRoutingKey": OTHERS}),
        ("/createQueue", {"queueName": "orders.dlx", "deadLetterExchange": ""}),
        ("/createQueue", {"queueName": "orders.dlx", "arguments": {"x-dead-letter-exchange": "amq.fanout"}}),
        ("/replayDeadLetters", {"queueName": MINE, "deadLetterQueue": OTHERS}),
    ):
        assert_problem(scoped("POST", path, json=body), 403, "outside_key_scope", "orders.*")
    [held] = scoped("POST", "/getMessages", json={"queueName": MINE}).json
    assert held["message"] == "canary", "nothing of the batch was published"


@pytest.mark.broker_independent
def test_a_scoped_key_learns_nothing_of_a_consumer_of_another_queue(service: Service, scoped: Api) -> None:
    """Only that its name is taken: names are unique."""
    url, private = "http://127.0.0.1:1/", {"headers": {"X-Api-Key": "right"}, "prefetch": 7}
    service.post("/createConsumer", {"queueName": OTHERS, "url": url, "name": "private", **private})
    guesses: list[dict[str, Any]] = [{}, private, {"headers": {"X-Api-Key": "wrong"}}, {"timeout": 3}]
    answers = [
        scoped("POST", "/createConsumer", json={"queueName": MINE, "url": url, "name": "private", **guess})
        for guess in guesses
    ]
    problem = assert_problem(answers[0], 409, "conflict", "Choose another name")
    assert {answer.json["detail"] for answer in answers} == {problem["detail"]}
    assert OTHERS not in problem["detail"]
    for which in ({"name": "private"}, {"name": "no such"}):
        assert_problem(scoped("GET", "/getConsumer", query_string=which), 403, "outside_key_scope")


def dead_letter_of(queue: str) -> BasicProperties:
    return BasicProperties(headers={"workerrmq-attempts": 1, "workerrmq-queue": queue})


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_replay_by_a_scoped_key_leaves_the_dead_letters_of_other_queues(
    service: Service, scoped: Api, broker: BrokerNode, dry_run: bool
) -> None:
    """Queues share the dead-letter queue, and each message says where it came from."""
    shared = "orders.shared.dlq"
    assert scoped("POST", "/createQueue", json={"queueName": shared}).status_code == 201
    with broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for name in (OTHERS, MINE, OTHERS, "workerrmq.delay.3", MINE):
            channel.basic_publish("", shared, name.encode(), dead_letter_of(name))
    body = {"queueName": MINE, "deadLetterQueue": shared, "dryRun": dry_run, "limit": 2}
    answer = scoped("POST", "/replayDeadLetters", json=body)

    def replay() -> dict[str, Any]:
        return answer.json if dry_run else scoped("GET", f"/getReplay?replayId={answer.json['replayId']}").json

    wait_until(lambda: replay()["state"] == "finished", 30)
    assert (replay()["matched"], replay()["skipped"]) == (2, 3), "others do not use up the limit"
    assert (replay()["replayed"], replay()["failed"]) == (0 if dry_run else 2, 0)
    if not dry_run:
        found = scoped("POST", "/getMessages", json={"queueName": shared, "count": 9}).json
        assert [one["message"] for one in found] == [OTHERS, OTHERS, "workerrmq.delay.3"], "they keep their places"
    assert len(service.post("/getMessages", {"queueName": OTHERS, "count": 9}).json) == 1
    by_all = service.post("/replayDeadLetters", {**body, "limit": 9, "dryRun": True}).json
    assert (by_all["matched"], by_all["skipped"]) == ((4, 1) if dry_run else (2, 1))


@pytest.mark.broker_independent
def test_deliveries_of_other_queues_are_not_in_the_log_of_a_scoped_key(service: Service, scoped: Api) -> None:
    now = datetime.now(UTC)
    service.store.attempts.add(
        {
            queue: Attempt(now, "id", "c", queue, "m", 1, "retried", 500, None, "HTTP 500", 3, None)
            for queue in (MINE, OTHERS, "x.orders.new")
        }
    )
    assert len(service.get("/getDeliveries").json) == 3
    answer = scoped("GET", "/getDeliveries")
    assert [one["queueName"] for one in answer.json] == [MINE]
    assert answer.headers["X-Total-Count"] == "1"
