"""DELETE takes its parameters in the query or in a JSON body, because some proxies and clients drop the body."""

from __future__ import annotations

import pytest

from app import APIS
from tests.api.client import Api
from tests.api.service import Service, assert_problem

ROUTES = [one for api in APIS for one in api.operations if one.method == "DELETE"]
MISSING = {"/deleteUser": {"username": "x"}, "/deleteApiKey": {"name": "x"}, "/deleteConsumer": {"name": "x"}}


@pytest.mark.parametrize("path", [one.path for one in ROUTES])
def test_every_field_of_a_delete_is_a_parameter_too(api: Api, path: str) -> None:
    parameters = api("GET", "/openapi.json").json["paths"][path]["delete"]["parameters"]
    [operation] = [one for one in ROUTES if one.path == path]
    assert operation.body is not None
    assert [one["name"] for one in parameters] == [field.alias for field in operation.body.model_fields.values()]
    assert "bogus" in assert_problem(api("DELETE", f"{path}?bogus=1"), 400, "invalid_request")["detail"]


@pytest.mark.parametrize("path", MISSING)
def test_a_delete_is_understood_either_way_but_not_both(api: Api, path: str) -> None:
    given = MISSING[path]
    for options in ({"query_string": given}, {"json": given}):
        assert api("DELETE", path, **options).status_code == 404
    answer = api("DELETE", path, query_string=given, json=given)
    assert_problem(answer, 400, "invalid_request", "either in the query or in the body")


def test_text_in_the_query_becomes_the_type_of_the_field(service: Service) -> None:
    service.post("/createQueue", {"queueName": "full"})
    service.post("/messagePublish", {"queueName": "full", "message": "x"})
    query = {"queueName": "full", "ifEmpty": "true"}
    assert_problem(service.call("DELETE", "/deleteQueue", **query), 412, "queue_not_empty")
    assert_problem(service.delete("/deleteQueue", query), 400, "invalid_request", "ifEmpty")
    assert service.call("DELETE", "/deleteQueue", queueName="full", ifEmpty="false").status_code == 200
