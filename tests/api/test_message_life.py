"""GET /getMessage: what happened to one message, and where it is now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.api.host import Host
from tests.api.service import Service, assert_problem
from tests.support.processes import wait_until
from tests.support.target import Target


@pytest.fixture
def consuming(make_service: Callable[..., Service]) -> Service:
    """A service that runs its consumers itself."""
    return make_service(consumers="inline")


def refused(service: Service, target: Target, queue: str, message_id: str = "m-1") -> None:
    """A message that its target has refused, so that it is a dead letter."""
    target.answer = 422
    service.post("/createQueue", {"queueName": queue})
    service.post("/createConsumer", {"queueName": queue, "url": target.url()})
    publish(service, queue, message_id)
    wait_until(lambda: place(service, message_id).get("state") == "deadLettered", 30, "the dead letter")


def publish(service: Service, queue: str, message_id: str) -> None:
    body = {"queueName": queue, "message": "x", "properties": {"messageId": message_id}}
    assert service.post("/messagePublish", body).status_code == 200


def life(service: Service, message_id: str, **query: Any) -> dict[str, Any]:
    """Return the answer of GET /getMessage."""
    answer = service.get("/getMessage", messageId=message_id, **query)
    assert answer.status_code == 200, answer.json
    found: dict[str, Any] = answer.json
    return found


def place(service: Service, message_id: str) -> dict[str, Any]:
    """Where the message is, if that is known and one place."""
    places = life(service, message_id)["places"]
    return places[0] if len(places) == 1 else {}


def settle(service: Service, action: str, **body: Any) -> None:
    """Replay, move or delete dead letters, and wait for the end."""
    begun = service.post(f"/{action}", body)
    assert begun.status_code == 202, begun.json
    wait_until(lambda: service.get("/getReplay", replayId=begun.json["replayId"]).json["state"] == "finished", 30)


@pytest.mark.versions
def test_a_life_with_retry_dead_letter_replay_and_delivery_is_told_although_the_worker_is_killed(
    host: Host, target: Target, unique_name: str
) -> None:
    queue, letters = unique_name, f"{unique_name}.dlq"
    target.answer = lambda _: (500, b"The ledger is closed")
    token = host.web.login()

    def told(**query: str) -> dict[str, Any]:
        answer = host.web.call("GET", "/getMessage", token, params={"messageId": "m-1", **query})
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def reached(state: str, **query: str) -> dict[str, Any]:
        wait_until(lambda: [one["state"] for one in told()["places"]] == [state], 60, state)
        return told(**query)

    host.post("/createQueue", queueName=queue)
    host.post("/createConsumer", queueName=queue, url=target.url(), retry={"schedule": [6], "jitter": 0})
    host.post("/messagePublish", queueName=queue, message="x", properties={"messageId": "m-1"})
    waiting = reached("waiting")
    host.worker.kill()
    assert told()["places"] == waiting["places"]
    [at_waiting] = waiting["places"]
    assert at_waiting["dueAt"] == waiting["events"][-1]["attempt"]["nextAt"] > at_waiting["since"]

    host.worker.start()
    dead = reached("deadLettered", lookIn=letters)
    assert (dead["places"][0]["destination"], dead["places"][0]["found"]) == (letters, True)
    assert dead["notes"] == [f"The message is in {letters}, at position 1 of 1."]
    target.answer = 200
    host.post("/replayDeadLetters", queueName=queue)
    whole = reached("delivered")
    # The worker may have been killed before the copy for the retry was safe: then there are two first attempts.
    events = {event["event"]: event for event in whole["events"]}
    assert list(events) == ["published", "retried", "exhausted", "replayed", "delivered"]
    times = [datetime.fromisoformat(event["at"]) for event in whole["events"]]
    assert times == sorted(times)
    published, first, last, replayed, delivered = events.values()
    assert (published["by"], replayed["by"]) == ("admin", "admin")
    assert replayed["text"] == f"Replayed from {letters} by admin."
    assert [one["attempt"]["answer"] for one in (first, last, delivered)] == ["The ledger is closed"] * 2 + [None]
    assert [one["attempt"]["attempt"] for one in (first, last, delivered)] == [1, 2, 1]
    assert whole["notes"] == []


def test_a_scheduled_message_is_found_by_its_id_while_it_waits(service: Service, unique_name: str) -> None:
    """Of one for an exchange, nobody knows yet to which queues it goes."""
    service.post("/createQueue", {"queueName": unique_name})
    service.post("/createExchange", {"exchange": unique_name})
    due = "2035-01-31T08:00:00Z"
    for number, to in enumerate([{"queueName": unique_name}, {"exchange": unique_name, "routingKey": "k"}]):
        body = {**to, "message": 1, "deliverAt": due, "properties": {"messageId": f"{unique_name}-{number}"}}
        assert service.post("/messagePublish", body).status_code == 200
    wait_until(lambda: life(service, f"{unique_name}-1")["events"], 20, "the record")
    found = life(service, f"{unique_name}-0")
    assert [(one["state"], one["queueName"], one["dueAt"]) for one in found["places"]] == [
        ("scheduled", unique_name, due)
    ]
    [event] = found["events"]
    assert (event["event"], event["by"]) == ("scheduled", "admin")
    assert event["text"] == f"Scheduled by admin for {unique_name}, at 2035-01-31 08:00:00 UTC."
    assert found["notes"] == []
    through = life(service, f"{unique_name}-1")
    assert (through["places"], through["notes"], len(through["events"])) == ([], [], 1)
    assert f"the exchange {unique_name}" in through["events"][0]["text"]
    key = service.post("/createApiKey", {"name": unique_name, "role": "viewer", "queues": ["other.*"]}).json["key"]
    headers = {"Authorization": f"Bearer {key}"}
    for number in range(2):
        hidden = service.call("GET", "/getMessage", headers=headers, messageId=f"{unique_name}-{number}").json
        assert (hidden["places"], hidden["events"]) == ([], [])


def test_a_message_that_nobody_knows_is_said_to_be_unknown(service: Service) -> None:
    [note] = life(service, "nobody-knows")["notes"]
    assert "the delay levels are not searched" in note


def test_the_record_of_a_scheduled_message_stays_in_its_life_after_it_has_arrived(
    consuming: Service, target: Target, unique_name: str
) -> None:
    target.answer = 422
    consuming.post("/createQueue", {"queueName": unique_name})
    consuming.post("/createConsumer", {"queueName": unique_name, "url": target.url()})
    body = {"queueName": unique_name, "message": 1, "delaySeconds": 2, "properties": {"messageId": unique_name}}
    assert consuming.post("/messagePublish", body).status_code == 200
    wait_until(lambda: place(consuming, unique_name).get("state") == "deadLettered", 60, "its arrival")
    events = [one["text"].split(" by ")[0] for one in life(consuming, unique_name)["events"]]
    assert events[:2] == ["Scheduled", "Published"]
    assert events[2].startswith("Attempt 1 failed")


def test_a_message_that_a_user_has_moved_deleted_or_purged_is_told_as_such(
    consuming: Service, target: Target, unique_name: str
) -> None:
    letters, parked = f"{unique_name}.dlq", f"{unique_name}.parked"
    for message_id in ("moved", "deleted", "purged"):
        refused(consuming, target, unique_name, message_id)
    consuming.post("/createQueue", {"queueName": parked})
    settle(consuming, "moveDeadLetters", queueName=unique_name, toQueue=parked, filter={"messageIds": ["moved"]})
    settle(consuming, "deleteDeadLetters", queueName=unique_name, filter={"messageIds": ["deleted"]})
    assert place(consuming, "moved") | {"since": ""} == {
        "queueName": unique_name, "state": "moved", "since": "", "dueAt": None, "destination": parked, "found": None,
    }  # fmt: skip
    assert place(consuming, "deleted")["state"] == "deleted"
    assert place(consuming, "purged")["state"] == "deadLettered"
    assert consuming.post("/purgeQueue", {"queueName": letters}).status_code == 200
    wait_until(lambda: place(consuming, "purged")["state"] == "purged", 20, "the entry in the audit log")
    last = life(consuming, "purged")["events"][-1]
    assert (last["event"], last["by"], last["queueName"]) == ("purged", "admin", letters)
    assert place(consuming, "moved")["state"] == "moved", "another queue was purged"


def test_a_look_finds_a_message_without_a_record_and_changes_nothing(consuming: Service, unique_name: str) -> None:
    consuming.post("/createQueue", {"queueName": unique_name})
    for message_id in ("before", "m-1"):
        publish(consuming, unique_name, message_id)
    unknown = life(consuming, "m-1")
    assert (unknown["places"], unknown["events"]) == ([], [])
    assert "no entry of this message" in unknown["notes"][0]
    for _ in range(3):
        found = life(consuming, "m-1", lookIn=unique_name)
        assert [(one["queueName"], one["state"], one["found"]) for one in found["places"]] == [
            (unique_name, "queued", True)
        ]
        assert [(one["event"], one["by"]) for one in found["events"]] == [("published", "admin")]
        assert found["notes"] == [f"The message is in {unique_name}, at position 2 of 2."]
    absent = life(consuming, "absent", lookIn=unique_name)
    assert absent["notes"][0] == f"The message is not among the first 2 of 2 ready messages in {unique_name}."
    held = consuming.post("/getMessages", {"queueName": unique_name}).json
    assert [one["properties"]["messageId"] for one in held] == ["before", "m-1"]
    assert_problem(consuming.get("/getMessage", messageId="m-1", lookIn="nowhere"), 404, "queue_not_found")


def test_a_look_tells_the_death_of_a_message_that_the_log_has_forgotten(
    consuming: Service, target: Target, unique_name: str
) -> None:
    refused(consuming, target, unique_name)
    consuming.store.attempts._collection().delete_many({})
    assert life(consuming, "m-1")["places"] == []
    found = life(consuming, "m-1", lookIn=f"{unique_name}.dlq")
    assert [(one["queueName"], one["state"], one["found"]) for one in found["places"]] == [
        (unique_name, "deadLettered", True)
    ]
    assert [event["event"] for event in found["events"]] == ["published", "deadLettered"]
    assert "rejected: HTTP 422: status 422" in found["events"][-1]["text"]


@pytest.mark.broker_independent
def test_roles_and_keys_see_of_a_life_what_they_may_see(consuming: Service, target: Target, unique_name: str) -> None:
    refused(consuming, target, unique_name)
    letters = f"{unique_name}.dlq"
    [event] = [one for one in life(consuming, "m-1")["events"] if one["attempt"]]
    assert event["attempt"]["answer"] == "status 422"
    viewed = consuming.call("GET", "/getMessage", role="viewer", messageId="m-1").json
    assert [one["attempt"]["answer"] for one in viewed["events"] if one["attempt"]] == [None]
    look = consuming.call("GET", "/getMessage", role="viewer", messageId="m-1", lookIn=letters)
    assert_problem(look, 403, "forbidden", "lookIn")
    for patterns, seen, status in (([unique_name], 1, 403), (["other.*"], 0, 403), ([f"{unique_name}*"], 1, 200)):
        key = consuming.post("/createApiKey", {"name": f"key-{status}-{seen}", "role": "operator", "queues": patterns})
        headers = {"Authorization": f"Bearer {key.json['key']}"}
        scoped = consuming.get("/getMessage", messageId="m-1", headers=headers).json
        assert len(scoped["places"]) == seen
        found = consuming.get("/getMessage", messageId="m-1", lookIn=letters, headers=headers)
        assert found.status_code == status


def test_a_consumer_and_its_problem_tell_the_next_attempt_while_the_breaker_is_open(
    consuming: Service, target: Target, unique_name: str
) -> None:
    target.answer = 500
    consuming.post("/createQueue", {"queueName": unique_name})
    breaker = {"failures": 1, "openSeconds": 600}
    consuming.post("/createConsumer", {"queueName": unique_name, "url": target.url(), "breaker": breaker})

    def consumer() -> dict[str, Any]:
        [found] = consuming.get("/getConsumers", queueName=unique_name).json
        return dict(found)

    assert consumer()["nextAttemptAt"] is None
    publish(consuming, unique_name, "m-1")
    wait_until(lambda: consumer()["state"] == "failing", 20, "the open breaker")
    shown = consumer()
    assert shown["nextAttemptAt"] > shown["lastErrorAt"]
    assert [one["nextAttemptAt"] for one in shown["workers"]] == [shown["nextAttemptAt"]]
    wait_until(lambda: problems(consuming, "breaker_open"), 20, "the problem")
    assert [one["nextAttemptAt"] for one in problems(consuming, "breaker_open")] == [shown["nextAttemptAt"]]


def problems(service: Service, kind: str) -> list[dict[str, Any]]:
    """The current problems of that kind."""
    return [one for one in service.get("/getOverview").json["troubles"] if one["kind"] == kind]
