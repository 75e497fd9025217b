"""Dead letters by the API: why they are there, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.service import Service, assert_problem
from tests.support.amqp import publish
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target


@pytest.fixture
def consuming(make_service: Callable[..., Service]) -> Service:
    """A service that runs its consumers itself."""
    return make_service(consumers="inline")


def dead_letters(service: Service, target: Target, queue: str, count: int) -> None:
    """A consumer of `queue` that has turned `count` messages into dead letters; odd ones by 422, even ones by 400."""
    target.answer = lambda request: 422 if int(request.id) % 2 else 400
    service.post("/createQueue", {"queueName": queue})
    service.post("/createConsumer", {"queueName": queue, "url": target.url()})
    messages = [
        {
            "queueName": queue,
            "message": f"m{n}",
            "properties": {"messageId": str(n), "headers": {"x-odd": str(n % 2)}},
        }
        for n in range(count)
    ]
    assert service.post("/messagePublish", {"messages": messages}).status_code == 200
    wait_until(lambda: waiting(service, f"{queue}.dlq") == count, 30, "dead letters")


def waiting(service: Service, queue: str) -> int:
    """Messages in a queue: the dry run of a replay counts them in the broker itself."""
    answer = service.post("/replayDeadLetters", {"queueName": "x", "deadLetterQueue": queue, "dryRun": True})
    return int(answer.json["matched"]) if answer.status_code == 200 else 0


def replay(service: Service, **body: Any) -> dict[str, Any]:
    """Start a replay and wait for its end."""
    answer = service.post("/replayDeadLetters", body)
    assert answer.status_code == 202, answer.json
    path = "/getReplay"
    identity = answer.json["replayId"]
    wait_until(lambda: service.get(path, replayId=identity).json["state"] != "running", 30)
    found: dict[str, Any] = service.get(path, replayId=identity).json
    return found


def test_a_replay_sends_dead_letters_through_their_consumer_again(
    consuming: Service, target: Target, unique_name: str
) -> None:
    dead_letters(consuming, target, unique_name, 20)
    target.answer = 200
    done = replay(consuming, queueName=unique_name)
    assert (done["state"], done["total"], done["replayed"], done["failed"]) == ("finished", 20, 20, 0)
    wait_until(lambda: len(target.delivered()) == 20)
    again = target.requests[-1].headers
    assert again["x-delivery-attempt"] == "1"
    assert waiting(consuming, f"{unique_name}.dlq") == 0


@pytest.mark.parametrize(
    ("wanted", "matched"),
    [
        ({"status": [422]}, 5),
        ({"status": [400, 422]}, 10),
        ({"status": [500]}, 0),
        ({"messageIds": ["3", "4", "none"]}, 2),
        ({"headers": {"x-odd": "1"}}, 5),
        ({"until": "2020-01-01T00:00:00Z"}, 0),
        ({"since": "2020-01-01T00:00:00Z", "error": ["timeout"]}, 0),
    ],
)
def test_a_filter_replays_what_fits_and_leaves_the_rest_in_its_place(
    consuming: Service, target: Target, unique_name: str, wanted: dict[str, Any], matched: int
) -> None:
    dead_letters(consuming, target, unique_name, 10)
    target.answer = 200
    body = {"queueName": unique_name, "filter": wanted}
    counted = consuming.post("/replayDeadLetters", {**body, "dryRun": True}).json
    assert (counted["matched"], counted["replayed"]) == (matched, 0)
    done = replay(consuming, **body)
    assert (done["matched"], done["replayed"]) == (matched, matched)
    wait_until(lambda: waiting(consuming, f"{unique_name}.dlq") == 10 - matched)


def test_a_limit_takes_the_oldest(consuming: Service, target: Target, unique_name: str) -> None:
    dead_letters(consuming, target, unique_name, 10)
    target.answer = 200
    assert replay(consuming, queueName=unique_name, limit=3)["replayed"] == 3
    wait_until(lambda: len(target.delivered()) == 3)
    wait_until(lambda: waiting(consuming, f"{unique_name}.dlq") == 7)


def test_a_message_whose_queue_is_missing_stays_a_dead_letter(
    consuming: Service, target: Target, unique_name: str
) -> None:
    dead_letters(consuming, target, unique_name, 4)
    consuming.delete("/deleteConsumer", {"queueName": unique_name})
    wait_until(lambda: consuming.delete("/deleteQueue", {"queueName": unique_name}).status_code == 200)
    done = replay(consuming, queueName=unique_name)
    assert (done["replayed"], done["failed"]) == (0, 4)
    assert (done["state"], f"no queue named '{unique_name}'" in done["reason"]) == ("finished", True)
    wait_until(lambda: waiting(consuming, f"{unique_name}.dlq") == 4)


def test_a_replay_of_a_missing_queue_is_an_error(service: Service, broker: BrokerNode, unique_name: str) -> None:
    answer = service.post("/replayDeadLetters", {"queueName": unique_name, "dryRun": True})
    assert (answer.status_code, answer.json["code"]) == (404, "queue_not_found")
    assert service.get("/getReplay", replayId="none").status_code == 404


@pytest.mark.parametrize("queue", ["nothing", "orders.dlq"])
def test_a_replay_of_a_queue_without_a_dead_letter_queue_is_refused_at_once(service: Service, queue: str) -> None:
    service.post("/createQueue", {"queueName": "orders.dlq"})
    for more in ({}, {"dryRun": True}, {"deadLetterQueue": "other"}):
        answer = service.post("/replayDeadLetters", {"queueName": queue, **more})
        letters = more.get("deadLetterQueue", f"{queue}.dlq")
        assert_problem(answer, 404, "queue_not_found", f"queue '{letters}'", "does not exist", "deadLetterQueue")


def test_the_log_of_attempts_says_what_became_of_each_failure(
    consuming: Service, target: Target, unique_name: str
) -> None:
    dead_letters(consuming, target, unique_name, 6)

    def logged(**query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = consuming.get("/getDeliveries", queueName=unique_name, **query).json
        return found

    wait_until(lambda: len(logged()) == 6)
    [one] = logged(messageId="3")
    assert (one["consumer"], one["attempt"], one["result"], one["status"]) == (unique_name, 1, "rejected", 422)
    assert one["answer"] == "status 422"
    [for_viewer] = consuming.call("GET", "/getDeliveries", role="viewer", queueName=unique_name, messageId="3").json
    assert for_viewer == one | {"answer": None}
    assert one["durationMs"] >= 0
    assert len(logged(result="rejected", pageSize=2)) == 2
    assert (len(logged(destination=f"{unique_name}.dlq")), logged(destination=unique_name)) == (6, [])
    assert logged(result="retried") == []
    assert logged(until="2020-01-01T00:00:00Z") == []
    assert len(logged(since="2020-01-01T00:00:00Z")) == 6


def test_a_message_id_that_is_not_utf_8_is_in_the_log_of_attempts_as_the_target_sees_it(
    consuming: Service, broker: BrokerNode, target: Target, unique_name: str
) -> None:
    consuming.post("/createQueue", {"queueName": unique_name})
    consuming.post("/createConsumer", {"queueName": unique_name, "url": target.url("/status/422")})
    with broker.connect() as connection:
        publish(connection.channel(), unique_name, b"x", message_id=b"m-\xff\n")
    wait_until(lambda: consuming.get("/getDeliveries", queueName=unique_name).json, 20, "the attempt")
    [attempt] = consuming.get("/getDeliveries", queueName=unique_name).json
    assert attempt["messageId"] == target.requests[0].headers["webhook-id"] == "m-%FF%0A"
    assert consuming.get("/getDeliveries", messageId="m-%FF%0A").json == [attempt]
