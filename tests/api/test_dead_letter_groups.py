"""Dead letters by cause over HTTP: what is grouped, and that only the chosen group is acted on."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.service import Service, assert_problem
from tests.support.amqp import publish
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

CAUSES = {
    "iban": (422, b'{"detail": "IBAN checksum failed for invoice 1"}'),
    "iban2": (422, b'{"detail": "IBAN checksum failed for invoice 22"}'),
    "closed": (422, b'{"detail": "The account is closed"}'),
    "syntax": (400, b"<html>Bad Request</html>"),
}


@pytest.fixture
def consuming(make_service: Callable[..., Service]) -> Service:
    """A service that runs its consumers itself."""
    return make_service(consumers="inline")


@pytest.fixture
def letters(consuming: Service, target: Target, unique_name: str) -> str:
    """A dead-letter queue with 2 × IBAN, 1 × closed and 1 × syntax; its name. The messages' ids are the causes."""
    target.answer = lambda request: CAUSES[request.id]
    consuming.post("/createQueue", {"queueName": unique_name})
    consuming.post("/createConsumer", {"queueName": unique_name, "url": target.url()})
    messages = [{"queueName": unique_name, "message": f"<{one}>", "properties": {"messageId": one}} for one in CAUSES]
    assert consuming.post("/messagePublish", {"messages": messages}).status_code == 200
    wait_until(lambda: total(consuming, f"{unique_name}.dlq") == 4, 30, "dead letters")
    return f"{unique_name}.dlq"


def look(service: Service, queue: str, **query: Any) -> dict[str, Any]:
    answer = service.get("/getDeadLetters", deadLetterQueue=queue, **query)
    assert answer.status_code == 200, answer.json
    found: dict[str, Any] = answer.json
    return found


def total(service: Service, queue: str) -> int:
    answer = service.get("/getDeadLetters", deadLetterQueue=queue)
    return int(answer.json["messages"]) if answer.status_code == 200 else 0


def ids(service: Service, queue: str, **wanted: Any) -> list[str]:
    answer = service.post("/getMessages", {"queueName": queue, **wanted})
    assert answer.status_code == 200, answer.json
    return [one["properties"]["messageId"] for one in answer.json]


def act(service: Service, path: str, **body: Any) -> dict[str, Any]:
    """Start an action and wait for its end."""
    answer = service.post(path, body)
    assert answer.status_code == 202, answer.json
    identity = answer.json["replayId"]
    wait_until(lambda: service.get("/getReplay", replayId=identity).json["state"] != "running", 30)
    found: dict[str, Any] = service.get("/getReplay", replayId=identity).json
    return found


def test_dead_letters_are_grouped_by_consumer_reason_and_answer(consuming: Service, letters: str) -> None:
    queue = letters.removesuffix(".dlq")
    found = look(consuming, letters)
    assert (found["messages"], found["examined"]) == (4, 4)
    first, *others = found["groups"]
    assert (first["count"], first["consumer"], first["queueName"], first["outcome"]) == (2, queue, queue, "rejected")
    assert (first["status"], first["reason"]) == (422, "HTTP 422")
    assert first["answer"].startswith("IBAN checksum failed for invoice ")
    assert first["since"] <= first["latest"] <= found["at"]
    assert first["perSecond"] == round(2 / 60, 2)
    assert {(one["count"], one["status"], one["answer"]) for one in others} == {
        (1, 422, "The account is closed"),
        (1, 400, None),
    }


@pytest.mark.versions
def test_a_look_changes_neither_order_nor_number_and_is_bounded(consuming: Service, letters: str) -> None:
    before = ids(consuming, letters)
    for _ in range(30):  # RabbitMQ 4 drops a message of a quorum queue after 20 returns
        look(consuming, letters)
    assert ids(consuming, letters) == before
    assert total(consuming, letters) == 4
    part = look(consuming, letters, examine=2)
    assert (part["messages"], part["examined"], sum(one["count"] for one in part["groups"])) == (4, 2, 2)
    assert {one["perSecond"] for one in part["groups"]} == {None}


@pytest.mark.versions
def test_looks_at_the_same_time_all_see_all_messages(consuming: Service, letters: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        dry = {"queueName": letters.removesuffix(".dlq"), "dryRun": True}
        looks = [pool.submit(lambda: total(consuming, letters)) for _ in range(10)]
        runs = [pool.submit(lambda: consuming.post("/replayDeadLetters", dry).json["matched"]) for _ in range(10)]
        assert {one.result() for one in (*looks, *runs)} == {4}


@pytest.mark.versions
def test_only_the_messages_of_one_group_are_replayed(consuming: Service, target: Target, letters: str) -> None:
    queue = letters.removesuffix(".dlq")
    group = look(consuming, letters)["groups"][0]["group"]
    assert sorted(ids(consuming, letters, filter={"group": [group]})) == ["iban", "iban2"]
    wanted = {"queueName": queue, "filter": {"group": [group]}}
    wait_until(lambda: consuming.get("/getConsumer", queueName=queue).json["state"] == "failing")
    told = consuming.post("/replayDeadLetters", {**wanted, "dryRun": True}).json
    assert (told["action"], told["matched"], told["replayed"]) == ("replay", 2, 0)
    assert told["destinations"] == [{"queueName": queue, "messages": 2}]
    [warning] = told["warnings"]
    assert f"'{queue}' is failing" in warning
    assert "will probably fail again" in warning
    target.answer = 200
    target.clear()
    done = act(consuming, "/replayDeadLetters", **wanted)
    assert (done["state"], done["replayed"]) == ("finished", 2)
    wait_until(lambda: len(target.delivered()) == 2)
    assert sorted(request.id for request in target.requests) == ["iban", "iban2"]
    assert sorted(ids(consuming, letters)) == ["closed", "syntax"]
    healthy = wait_until(lambda: consuming.get("/getConsumer", queueName=queue).json["state"] == "running")
    assert healthy
    assert consuming.post("/replayDeadLetters", {"queueName": queue, "dryRun": True}).json["warnings"] == []


@pytest.mark.broker_independent
def test_a_replay_to_a_queue_without_a_consumer_warns(consuming: Service, letters: str) -> None:
    queue = letters.removesuffix(".dlq")
    consuming.post("/pauseConsumer", {"queueName": queue})
    [warning] = consuming.post("/replayDeadLetters", {"queueName": queue, "dryRun": True}).json["warnings"]
    assert "is paused" in warning
    consuming.delete("/deleteConsumer", {"queueName": queue})
    told = consuming.post("/replayDeadLetters", {"queueName": queue, "dryRun": True}).json
    assert told["warnings"] == [f"The queue '{queue}' has no consumer. The messages wait in the queue."]


def test_one_message_is_resent_with_another_body(consuming: Service, target: Target, letters: str) -> None:
    queue = letters.removesuffix(".dlq")
    target.answer = 200
    target.clear()
    one = {"queueName": queue, "filter": {"messageIds": ["iban"]}, "replacement": '{"iban": "DE02"}'}
    assert act(consuming, "/replayDeadLetters", **one)["replayed"] == 1
    [request] = target.wait_for(1)
    assert (request.id, request.body) == ("iban", b'{"iban": "DE02"}')
    assert request.headers["x-delivery-attempt"] == "1"
    assert "iban" not in ids(consuming, letters)
    for several in ([], ["closed", "syntax"]):
        answer = consuming.post("/replayDeadLetters", {**one, "filter": {"messageIds": several}})
        assert_problem(answer, 400, "invalid_request", "exactly one id")


def test_a_group_is_moved_with_its_reasons_and_can_be_replayed_from_there(
    consuming: Service, target: Target, letters: str
) -> None:
    queue = letters.removesuffix(".dlq")
    parked = f"{queue}.parked"
    consuming.post("/createQueue", {"queueName": parked})
    group = look(consuming, letters)["groups"][0]["group"]
    wanted = {"queueName": queue, "toQueue": parked, "filter": {"group": [group]}}
    told = consuming.post("/moveDeadLetters", {**wanted, "dryRun": True}).json
    assert (told["action"], told["destinations"]) == ("move", [{"queueName": parked, "messages": 2}])
    assert act(consuming, "/moveDeadLetters", **wanted)["replayed"] == 2
    assert sorted(ids(consuming, letters)) == ["closed", "syntax"]
    [moved] = look(consuming, parked)["groups"]
    assert (moved["group"], moved["count"], moved["status"]) == (group, 2, 422)
    target.answer = 200
    target.clear()
    assert act(consuming, "/replayDeadLetters", queueName=queue, deadLetterQueue=parked)["replayed"] == 2
    assert sorted(request.id for request in target.wait_for(2)) == ["iban", "iban2"]


def test_dead_letters_stay_if_the_queue_to_move_them_to_does_not_exist(consuming: Service, letters: str) -> None:
    queue = letters.removesuffix(".dlq")
    done = act(consuming, "/moveDeadLetters", queueName=queue, toQueue=f"{queue}.none")
    assert (done["replayed"], done["failed"]) == (0, 4)
    assert total(consuming, letters) == 4


def test_a_group_is_deleted_and_the_others_stay(consuming: Service, target: Target, letters: str) -> None:
    queue = letters.removesuffix(".dlq")
    group = look(consuming, letters)["groups"][0]["group"]
    wanted = {"queueName": queue, "filter": {"group": [group]}}
    told = consuming.post("/deleteDeadLetters", {**wanted, "dryRun": True}).json
    assert (told["action"], told["matched"], told["destinations"]) == ("delete", 2, [])
    assert total(consuming, letters) == 4
    target.clear()
    assert act(consuming, "/deleteDeadLetters", **wanted)["replayed"] == 2
    assert sorted(ids(consuming, letters)) == ["closed", "syntax"]
    assert target.count == 0
    audit = consuming.get("/getAuditLog", action="deleteDeadLetters").json
    assert audit[0]["resource"]["queueName"] == queue


def test_an_export_has_whole_bodies_and_leaves_the_messages_in_their_queue(consuming: Service, letters: str) -> None:
    group = look(consuming, letters)["groups"][0]["group"]
    for query, exported in (({}, set(CAUSES)), ({"group": group}, {"iban", "iban2"})):
        answer = consuming.get("/exportDeadLetters", deadLetterQueue=letters, **query)
        assert answer.content_type.startswith("application/x-ndjson")
        lines = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
        assert {one["message"] for one in lines} == {f"<{cause}>" for cause in exported}
        assert all(one["properties"]["headers"]["workerrmq-status"] in (400, 422) for one in lines)
    assert total(consuming, letters) == 4


@pytest.mark.versions
def test_messages_that_the_broker_dead_lettered_or_clients_published_are_grouped_too(
    service: Service, broker: BrokerNode, unique_name: str
) -> None:
    letters = f"{unique_name}.dlq"
    service.post("/createQueue", {"queueName": letters})
    dead = {"deadLetterExchange": "", "deadLetterRoutingKey": letters, "messageTtl": 1}
    service.post("/createQueue", {"queueName": unique_name, **dead})
    with broker.connect() as connection:
        publish(connection.channel(), unique_name, b"a", b"b")
        publish(connection.channel(), letters, b"c", headers={"workerrmq-outcome": 7, "x-death": ["x"]})
    wait_until(lambda: total(service, letters) == 3)
    expired, published = look(service, letters)["groups"]
    assert (expired["count"], expired["queueName"], expired["outcome"]) == (2, unique_name, "expired")
    assert expired["consumer"] is None
    assert expired["since"] is not None
    assert (published["count"], published["outcome"], published["since"]) == (1, "published", None)


@pytest.mark.broker_independent
def test_a_viewer_cannot_read_dead_letters(service: Service, unique_name: str) -> None:
    letters = f"{unique_name}.dlq"
    service.post("/createQueue", {"queueName": letters})
    for path in ("/getDeadLetters", "/exportDeadLetters"):
        assert_problem(service.get(path, role="viewer", deadLetterQueue=letters), 403, "forbidden")
        assert_problem(service.get(path, deadLetterQueue="none.dlq"), 404, "queue_not_found")
    for path in ("/moveDeadLetters", "/deleteDeadLetters"):
        body = {"queueName": unique_name, "toQueue": "x"} if "move" in path else {"queueName": unique_name}
        assert_problem(service.post(path, body, role="publisher"), 403, "forbidden")
    assert_problem(service.get("/getDeadLetters", deadLetterQueue=letters, examine=10_001), 400, "invalid_request")
