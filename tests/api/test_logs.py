"""The logs, GET /getDeliveries and GET /getAuditLog: cut by time to the millisecond, and sorted as is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.attempt import Attempt
from domain.audit import AuditEntry
from tests.api.client import Api
from tests.api.service import assert_problem

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)  # older ones would be forgotten
TAKING = [30, 10, 20, 10]  # milliseconds that the attempts took, one begun each millisecond


def moment(number: int) -> str:
    return (START + timedelta(milliseconds=number)).isoformat()


@pytest.fixture
def logs(api: Api) -> Api:
    """A client of a service with four entries in each log; what the login leaves there is later."""
    moments = [START + timedelta(milliseconds=number) for number in range(len(TAKING))]
    store = api.app.extensions["store"]
    for number, (at, taken) in enumerate(zip(moments, TAKING, strict=True)):
        name = str(number)
        store.attempts.add({name: Attempt(at, "id", "c", "q", name, 1, "delivered", 200, None, "", taken, None)})
        store.audit.add([AuditEntry(f"e{number}", at, "u", "deleteUser", {}, "", taken, name)])
    return api


def found(logs: Api, path: str, **query: Any) -> str:
    """The numbers of the entries, in the order of the answer."""
    answer = logs("GET", path, query_string={"until": moment(len(TAKING)), **query})
    assert answer.status_code == 200, answer.text
    return "".join(one["messageId"] if "messageId" in one else one["requestId"] for one in answer.json)


@pytest.mark.parametrize(("path", "field"), [("/getDeliveries", "durationMs"), ("/getAuditLog", "status")])
class TestALog:
    def test_is_cut_to_the_millisecond(self, logs: Api, path: str, field: str) -> None:
        assert found(logs, path, since=moment(1)) == "321"
        assert found(logs, path, until=moment(1)) == "0"
        assert found(logs, path, since=moment(1), until=moment(3)) == "21"
        at = logs("GET", path, query_string={"since": moment(2), "until": moment(3)}).json[0]["at"]
        assert found(logs, path, since=at, pageSize=1, page=2) == "2", "what an answer shows can be asked by"

    def test_comes_latest_first_or_as_is_asked_for(self, logs: Api, path: str, field: str) -> None:
        assert found(logs, path) == "3210"
        assert found(logs, path, descending=False) == "0123"
        assert found(logs, path, sort=field) == "0231"
        assert found(logs, path, sort=field, descending=False) == "1320"
        assert [found(logs, path, sort=field, pageSize=2, page=page) for page in (1, 2, 3)] == ["02", "31", ""]

    def test_cannot_be_sorted_by_what_it_has_not(self, logs: Api, path: str, field: str) -> None:
        answer = logs("GET", path, query_string={"sort": "colour"})
        assert_problem(answer, 400, "invalid_request", "sort", field)
