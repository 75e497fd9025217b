"""The audit log: who did what to which resource, from where, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app import APIS
from domain.audit import AuditEntry, AuditFilter
from domain.model import MASK
from domain.selection import Order
from gateway.mongo import Store, open_store
from services.audit import AuditLog
from tests.api.client import ADMIN, PASSWORD, Api, Gunicorn
from tests.api.service import Service, assert_problem
from tests.support.processes import wait_until
from tests.support.proxy import Proxy
from tests.support.store import StoreNode

OPERATIONS = [operation for routes in APIS for operation in routes.operations]


def entries(api: Api | Service, at_least: int = 1, **query: str) -> list[dict[str, Any]]:
    """Wait for at least so many matching entries, and return them, the latest first."""

    def found() -> list[dict[str, Any]]:
        answer = api.get("/getAuditLog", **query) if isinstance(api, Service) else api(
            "GET", "/getAuditLog", query_string=query)  # fmt: skip
        assert answer.status_code == 200, answer.text
        return list(answer.json)

    return wait_until(lambda: (got := found()) and len(got) >= at_least and got, 20, "the entries being written")


def test_a_change_is_recorded_with_who_what_whence_and_the_outcome(api: Api) -> None:
    body = {"username": "carol", "password": PASSWORD, "role": "viewer"}
    before = datetime.now(UTC)
    for status in (201, 409):
        answer = api("POST", "/createUser", json=body, headers={"X-Request-ID": f"r-{status}"})
        assert answer.status_code == status
    second, first = entries(api, 2, action="createUser")
    assert (first["status"], second["status"]) == (201, 409)
    assert before - timedelta(milliseconds=1) <= datetime.fromisoformat(first.pop("at"))
    assert first == {"user": ADMIN, "action": "createUser", "resource": {"username": "carol"}, "remote": "127.0.0.1",
                     "status": 201, "requestId": "r-201", "changes": [
                         {"field": "role", "from": None, "to": "viewer"},
                         {"field": "password", "from": None, "to": MASK},
                     ]}  # fmt: skip
    assert second["changes"] == [], "the request was refused"


def test_every_operation_that_changes_something_is_recorded_when_it_is_refused(api: Api) -> None:
    viewer = api.as_user("vera", "viewer")
    changing = [one for one in OPERATIONS if one.method != "GET" and one.role not in {None, "viewer"}]
    for one in changing:
        assert viewer(one.method, one.path).status_code == 403
    found = entries(api, len(changing), user="vera", pageSize="500")
    assert {one["action"] for one in found if one["status"] == 403} == {one.path[1:] for one in changing}


def test_reading_is_not_recorded(api: Api) -> None:
    api("GET", "/getUsers")
    api("POST", "/createUser", json={})
    assert {one["action"] for one in entries(api, 2)} == {"login", "createUser"}


@pytest.mark.broker_independent
def test_of_publishes_only_the_refused_are_recorded(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    assert service.post("/messagePublish", {"queueName": "orders", "message": "canary-body"}).status_code == 200
    assert service.post("/messagePublish", {"queueName": "nowhere", "message": "canary-body"}).status_code == 422
    [refused] = entries(service, action="messagePublish")
    assert (refused["status"], refused["resource"]) == (422, {"queueName": "nowhere"})


def test_logins_are_recorded_without_the_name_where_they_fail(api: Api) -> None:
    api.login("canary: a password typed in the wrong field", "x")
    failed, right = entries(api, 2, action="login")
    assert (failed["user"], failed["status"], failed["resource"]) == (None, 401, {})
    assert (right["user"], right["status"]) == (ADMIN, 200)


def test_unauthenticated_requests_are_not_in_the_audit_log(api: Api) -> None:
    for one in OPERATIONS:
        if one.role is not None:
            api(one.method, one.path, headers={"Authorization": "Bearer nonsense"})
    api("POST", "/createUser", json={})
    assert {one["action"] for one in entries(api, 2)} == {"login", "createUser"}


def test_filters_agree_and_pages_go_on(api: Api) -> None:
    now = datetime.now(UTC)
    for number, name in enumerate(("a", "b", "a")):
        made = AuditEntry(
            f"e{number}", now + timedelta(milliseconds=number), "u", "deleteUser", {"x": name}, "", 200, "r"
        )
        api.app.extensions["services"].audit.add(made)
    middle = entries(api, 3, action="deleteUser")[1]["at"]
    assert [one["resource"]["x"] for one in entries(api, 2, resource="a", user="u")] == ["a", "a"]
    assert len(entries(api, 2, action="deleteUser", since=middle)) == 2
    assert len(entries(api, 1, action="deleteUser", until=middle)) == 1
    assert api("GET", "/getAuditLog?user=nobody").json == []
    page = api("GET", "/getAuditLog?action=deleteUser&page=2&pageSize=2")
    assert (len(page.json), page.headers["X-Total-Count"]) == (1, "3")
    assert_problem(api.as_user("olga", "operator")("GET", "/getAuditLog"), 403, "forbidden")


def test_no_secret_is_in_the_log(api: Api) -> None:
    secret = "canary-4711-4711"
    api("POST", "/createUser", json={"username": "carol", "password": secret, "role": "viewer"})
    api("PATCH", "/updateUser", json={"username": "carol", "password": secret + "2"})
    api("POST", "/createConsumer", json={"queueName": "q", "url": f"http://u:{secret}@127.0.0.1/",
                                         "headers": {"X-Key": secret}})  # fmt: skip
    key = api("POST", "/createApiKey", json={"name": "shop", "role": "viewer"}).json["key"]
    wait_until(lambda: len(entries(api)) >= 5)
    content = api("GET", "/getAuditLog?pageSize=500").text
    assert '"shop"' in content
    assert secret not in content
    assert key not in content


def test_waiting_entries_are_written_when_the_process_ends(gunicorn: Callable[..., Gunicorn], store: StoreNode) -> None:
    server = gunicorn("--workers", "1")
    token = server.login()
    for number in range(20):
        server.call("DELETE", "/deleteUser", token, json={"username": f"u{number}"})
    server.process.stop()
    server.start()
    found = server.call("GET", "/getAuditLog?action=deleteUser", server.login()).json()
    assert len(found) == 20


def entry(number: int) -> AuditEntry:
    return AuditEntry(f"e{number}", datetime.now(UTC), "u", "a", {}, "", 200, "r")


@pytest.fixture
def entries_of(store: StoreNode, tmp_path: Path) -> Iterator[Callable[..., AuditLog]]:
    """Makes an audit log over the store, or over what forwards to it."""
    opened: list[Store] = []

    def make(port: int = 0, deadline: float = 5.0, **periods: Any) -> AuditLog:
        uri = f"mongodb://127.0.0.1:{port or store.port}/audit"
        opened.append(open_store(uri, "a key", tmp_path, deadline=deadline))
        return AuditLog(opened[-1].audit, **periods)

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def written(entries_of: Callable[..., AuditLog]) -> AuditLog:
    return entries_of()


def count(written: AuditLog) -> int:
    return written.page(AuditFilter(), Order(), 1, 1).total


def test_no_entry_is_lost_while_the_store_is_down(written: AuditLog, store: StoreNode) -> None:
    written.start()
    store.kill()
    for number in range(600):
        written.add(entry(number))
    store.start()
    wait_until(lambda: count(written) == 600, 30, "all being written")
    written.stop(1)


def test_entries_above_the_limit_are_dropped_counted_and_logged(
    entries_of: Callable[..., AuditLog], capsys: pytest.CaptureFixture[str]
) -> None:
    written = entries_of(max_waiting=5)
    for number in range(8):
        written.add(entry(number))
    written.start()
    written.stop(5)
    assert count(written) == 5
    said = capsys.readouterr()
    assert "log_entries_lost" in said.out + said.err


def test_an_entry_that_was_stored_already_is_not_stored_twice(written: AuditLog) -> None:
    for _ in range(2):
        written.add(entry(1))
        written.start()
        written.stop(5)
    assert count(written) == 1


def test_entries_outlive_several_outages_of_the_store_in_their_order_and_once(
    entries_of: Callable[..., AuditLog], store: StoreNode, proxy: Callable[[int], Proxy]
) -> None:
    way = proxy(store.port)
    written, reader = entries_of(way.port, 0.3, retry_after=0.05, at_once=3), entries_of()
    written.start()
    for outage in range(3):
        way.stall()  # what is sent now arrives later, though its writer is told otherwise
        for number in range(outage * 10, outage * 10 + 10):
            written.add(entry(number))
        way.flow()
        wait_until(lambda so_far=outage * 10 + 10: count(reader) == so_far, 20)
    written.stop(5)
    assert count(reader) == 30


def test_an_entry_that_can_never_be_stored_is_lost_alone_counted_and_logged(
    written: AuditLog, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(0, 9, 3):
        written.add(entry(number))
        written.add(replace(entry(number + 1), status=2**70))
        written.add(replace(entry(number + 2), resource={"name": "\ud800"}))
    written.start()
    written.stop(10)
    assert count(written) == 3
    said = capsys.readouterr()
    assert "log_entries_lost" in said.out + said.err
    for number in range(9, 12):
        written.add(entry(number))
    written.start()
    written.stop(10)
    assert count(written) == 6
