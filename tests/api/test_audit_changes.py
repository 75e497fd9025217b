"""What the audit log shows of each change: the values before and after, with masked secrets."""

from __future__ import annotations

from typing import Any

import pytest

from app import APIS
from domain.model import MASK
from routes.audit_changes import UNWATCHED, WATCHES
from tests.api.client import PASSWORD, Api
from tests.api.service import Service
from tests.api.test_audit import entries
from tests.support.processes import wait_until

Change = tuple[Any, Any]


def changes(api: Api, at_least: int = 1, **query: str) -> list[dict[str, Change]]:
    """The changes of each matching entry by field, the oldest entry first."""
    found = entries(api, at_least, **query)
    return [{one["field"]: (one["from"], one["to"]) for one in entry["changes"]} for entry in reversed(found)]


def test_every_operation_that_changes_something_says_how_its_changes_are_read() -> None:
    changing = {one.path[1:] for routes in APIS for one in routes.operations if one.method != "GET"}
    assert changing == {*WATCHES, *UNWATCHED}


def test_queues_are_recorded_with_their_settings_and_number_of_messages(service: Service, unique_name: str) -> None:
    queue = {"queueName": unique_name}
    for _ in range(2):
        service.post("/createQueue", {**queue, "maxLength": 10})
    for number in range(3):
        service.post("/messagePublish", {**queue, "message": number})
    wait_until(lambda: service.get("/getQueue", **queue).json["messages"] == 3, 30, "the statistics")
    service.post("/getMessages", {**queue, "ackMode": "peek"})
    service.post("/purgeQueue", queue)
    service.post("/messagePublish", {**queue, "message": "taken"})
    service.post("/getMessages", {**queue, "ackMode": "take"})
    service.delete("/deleteQueue", queue)
    created, same, peeked, purged, taken, deleted = changes(service, 6, resource=unique_name)
    assert created == {"queueName": (None, unique_name), "maxLength": (None, 10)}
    assert (same, peeked) == ({}, {"ackMode": (None, "peek")})
    assert purged == {"messages": (3, None)}
    assert taken == {"ackMode": (None, "take"), "messages": (None, 1)}
    assert (deleted["type"], deleted["durable"]) == (("classic", None), (True, None))
    assert deleted["arguments"][0]["x-max-length"] == 10


def test_exchanges_and_bindings_are_recorded_with_their_settings(service: Service, unique_name: str) -> None:
    queue, exchange = {"queueName": unique_name}, {"exchange": f"{unique_name}-x"}
    binding = {**exchange, **queue, "routingKey": "paid", "arguments": {"n": 1}}
    service.post("/createQueue", queue)
    service.post("/createExchange", {**exchange, "type": "topic"})
    service.post("/bindQueue", binding)
    service.post("/unbindQueue", binding)
    service.delete("/deleteExchange", exchange)
    created, bound, unbound, deleted = changes(service, 4, resource=exchange["exchange"])
    assert created == {"exchange": (None, exchange["exchange"]), "type": (None, "topic")}
    assert bound == {name: (None, value) for name, value in binding.items()}
    assert unbound == {name: (value, None) for name, value in binding.items()}
    assert deleted == {"type": ("topic", None), "durable": (True, None)}


def test_api_keys_are_recorded_without_their_secret(api: Api) -> None:
    key = api("POST", "/createApiKey", json={"name": "shop", "role": "viewer", "queues": ["a.*"]}).json["key"]
    api("DELETE", "/deleteApiKey", json={"name": "shop"})
    created, deleted = changes(api, 2, resource="shop")
    assert created == {"name": (None, "shop"), "role": (None, "viewer"), "queues": (None, ["a.*"])}
    assert (deleted["role"], deleted["queues"]) == (("viewer", None), (["a.*"], None))
    assert key not in api("GET", "/getAuditLog").text


def test_users_who_change_their_own_password_are_recorded(api: Api) -> None:
    vera = api.as_user("vera", "viewer")
    vera("POST", "/changePassword", json={"currentPassword": PASSWORD, "newPassword": "another good one"})
    assert changes(api, action="changePassword", user="vera") == [{"password": (MASK, MASK)}]


def test_acknowledgements_are_recorded_with_their_notes(service: Service, unique_name: str) -> None:
    service.post("/createConsumer", {"queueName": unique_name, "url": "https://a.example/"})
    named = {"kind": "no_worker", "name": "workers"}
    wait_until(lambda: [one for one in service.get("/getOverview").json["troubles"] if one["kind"] == "no_worker"], 20)
    service.post("/acknowledgeProblem", {**named, "note": "The bank fixes it."})
    service.post("/acknowledgeProblem", {**named, "note": "It is fixed."})
    service.delete("/deleteAcknowledgement", named)
    first, second, withdrawn = changes(service, 3, resource="workers")
    assert first == {"by": (None, "admin"), "note": (None, "The bank fixes it.")}
    assert second == {"note": ("The bank fixes it.", "It is fixed.")}
    assert withdrawn == {"by": ("admin", None), "note": ("It is fixed.", None)}
    assert entries(service, 3, resource="workers")[0]["resource"] == named


def test_replays_moves_and_deletions_are_recorded_with_their_filter_and_their_result(
    service: Service, unique_name: str
) -> None:
    letters = f"{unique_name}.dlq"
    for name in (unique_name, letters, f"{unique_name}.kept"):
        service.post("/createQueue", {"queueName": name})
    for one in "abcd":
        service.post("/messagePublish", {"queueName": letters, "message": "canary", "properties": {"messageId": one}})

    def act(path: str, **body: Any) -> tuple[dict[str, Change], dict[str, Change]]:
        replay = service.post(path, {"queueName": unique_name, **body}).json["replayId"]
        recorded = changes(service, 2, action=path[1:])
        assert [one.pop("replayId") for one in recorded] == [(None, replay)] * 2
        return recorded[0], recorded[1]

    service.post("/replayDeadLetters", {"queueName": unique_name, "dryRun": True})
    assert changes(service, action="replayDeadLetters") == [{"dryRun": (None, True)}]
    begun, ended = act("/moveDeadLetters", filter={"messageIds": ["a"]}, toQueue=f"{unique_name}.kept")
    assert begun["filter"] == (None, {"messageIds": ["a"]})
    assert begun["toQueue"] == (None, f"{unique_name}.kept")
    assert ended == {"state": (None, "finished"), "replayed": (None, 1)}
    assert act("/deleteDeadLetters", limit=2)[1]["replayed"] == (None, 2)
    edited = {"filter": {"messageIds": ["d"]}, "replacement": "canary"}
    assert service.post("/replayDeadLetters", {"queueName": unique_name, **edited}).status_code == 202
    _, begun, ended = changes(service, 3, action="replayDeadLetters")
    assert (begun["replacement"], ended["replayed"]) == ((None, MASK), (None, 1))
    assert "canary" not in service.get("/getAuditLog").text


def test_long_values_are_cut_off(service: Service, unique_name: str) -> None:
    service.post("/createQueue", {"queueName": f"{unique_name}.dlq"})
    body = {"queueName": unique_name, "filter": {"messageIds": [f"id-{number}" for number in range(1000)]}}
    service.post("/replayDeadLetters", body)
    begun, _ = changes(service, 2, action="replayDeadLetters")
    cut = begun["filter"][1]
    assert cut.startswith('{"messageIds":["id-0"')
    assert cut.endswith(" characters)")
    assert len(cut) < 2100


def test_a_closed_connection_is_recorded(service: Service) -> None:
    found = wait_until(lambda: service.get("/getConnections").json, 20)[0]
    service.delete("/closeConnection", {"connectionId": found["connectionId"]})
    [closed] = changes(service, action="closeConnection")
    assert (closed["user"], closed["peer"]) == ((found["user"], None), (found["peer"], None))


def test_a_change_of_a_consumer_is_recorded_with_the_values_before_and_after(service: Service) -> None:
    """Also of a secret, whose values are masked. A request that changes nothing has no changes."""
    auth = {"type": "bearer", "token": "canary-one"}
    service.post("/createConsumer", {"queueName": "q", "url": "https://a.example/", "auth": auth})
    changed = {"name": "q", "timeout": 7, "auth": {"type": "bearer", "token": "canary-two"}}
    assert service.patch("/updateConsumer", changed).status_code == 200
    assert service.patch("/updateConsumer", changed).status_code == 200
    assert service.post("/pauseConsumer", {"queueName": "q"}).status_code == 200
    assert service.delete("/deleteConsumer", {"name": "q"}).status_code == 200
    found = entries(service, 5, resource="q")
    made = [{one["field"]: (one["from"], one["to"]) for one in entry["changes"]} for entry in reversed(found)]
    masked = {"type": "bearer", "token": MASK}
    created = {"queueName": (None, "q"), "name": (None, "q"), "url": (None, "https://a.example/"),
               "auth": (None, masked), "desiredState": (None, "enabled")}  # fmt: skip
    assert made[:4] == [
        created, {"timeout": (30.0, 7.0), "auth": (masked, masked)}, {}, {"desiredState": ("enabled", "paused")},
    ]  # fmt: skip
    assert made[4]["timeout"] == (7.0, None)
    assert "canary" not in str(found)


@pytest.mark.broker_independent
def test_changes_of_policies_and_by_a_configuration_are_recorded(service: Service) -> None:
    policy = {"name": "p", "pattern": "^p", "definition": {"message-ttl": 1000}}
    service.post("/createPolicy", policy)
    service.post("/createPolicy", policy | {"definition": {"message-ttl": 2000}})
    configuration = {"consumers": [{"queueName": "q", "url": "https://a.example/"}]}
    service.post("/applyConfiguration", {"configuration": configuration})
    service.delete("/deletePolicy", {"name": "p"})
    replaced = entries(service, 2, action="createPolicy")[0]["changes"]
    assert replaced == [{"field": "definition", "from": {"message-ttl": 1000}, "to": {"message-ttl": 2000}}]
    [applied] = entries(service, 1, action="createConsumer")
    assert {"field": "url", "from": None, "to": "https://a.example/"} in applied["changes"]
    assert changes(service, action="applyConfiguration") == [{"done": (None, 1)}]
    [deleted] = entries(service, 1, action="deletePolicy")
    assert {"field": "pattern", "from": "^p", "to": None} in deleted["changes"]
    for queues in ([{"queueName": "applied"}], []):
        pruned = {"configuration": {"label": "shop", "queues": queues}, "prune": True}
        assert service.post("/applyConfiguration", pruned).status_code == 200
    assert changes(service, action="deleteQueue") == [{"queueName": ("applied", None)}]
    summary = {"label": (None, "shop"), "prune": (None, True), "done": (None, 1)}
    assert changes(service, 3, action="applyConfiguration")[1:] == [summary] * 2
