"""Errors have one shape, a stable code, a text with an action, and no secrets."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app import APIS, create_app
from domain import errors
from routes.errors import STATUSES, status_of
from tests.api.client import ADMIN, Api, add_user
from tests.api.conftest import MakeApp, end, settings_for
from tests.support.store import StoreNode

OPERATIONS = [operation for routes in APIS for operation in routes.operations]


@pytest.fixture(scope="module")
def api(store_node: StoreNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One for all tests here: what is refused changes nothing."""
    app = create_app(settings_for(tmp_path_factory.mktemp("errors"), mongo_uri=store_node.uri("errors")))
    client = Api(app)
    add_user(app, ADMIN, "admin")
    assert client.login().status_code == 200
    yield client
    end(app)
    store_node.reset()


def problem(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The problem, having the one shape of all errors (RFC 9457)."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    content: dict[str, Any] = answer.json
    assert {"type", "title", "status", "detail", "instance", "code", "errors", "requestId"} <= set(content)
    assert content["type"] == f"urn:workerrmq:error:{code}"
    assert (content["status"], content["code"], content["instance"]) == (status, code, answer.request.path)
    assert content["requestId"] == answer.headers["X-Request-ID"]
    assert content["title"]
    assert content["detail"]
    assert all(set(error) == {"field", "detail"} for error in content["errors"])
    return content


def test_every_route_answers_errors_in_the_one_shape(api: Api) -> None:
    for one in OPERATIONS:
        if one.role is not None:
            problem(api(one.method, one.path, headers={"Authorization": ""}), 401, "unauthenticated")
        if one.body is not None:
            problem(api(one.method, one.path, data=b"{"), 400, "malformed_json")
            problem(api(one.method, one.path, json={"noSuchField": 1}), 400, "invalid_request")
        if one.query is not None:
            problem(api(one.method, one.path, query_string={"noSuchField": 1}), 400, "invalid_request")
        wrong = problem(api("PUT", one.path), 405, "method_not_allowed")
        assert one.method in wrong["detail"]
    problem(api("GET", "/health/ready"), 503, "not_ready")


def test_every_domain_error_has_a_status() -> None:
    def below(kind: type[errors.WorkerError]) -> list[type[errors.WorkerError]]:
        return [one for child in kind.__subclasses__() for one in (child, *below(child))]

    named = {kind for kind in below(errors.WorkerError) if kind.__module__ == "domain.errors"}
    assert {kind.__name__: status_of(kind("x")) for kind in named if status_of(kind("x")) == 500} == {}
    assert STATUSES[errors.Unroutable] == 422
    assert status_of(errors.TargetRefused("x")) == 400


def test_an_unknown_route_names_the_closest_one(api: Api) -> None:
    assert "/getQueues" in problem(api("GET", "/getqueue_s"), 404, "route_not_found")["detail"]
    problem(api("GET", "/nowhere"), 404, "route_not_found")
    problem(api("GET", "/health//live"), 404, "route_not_found")
    problem(api("GET", "/x" * 3000), 404, "route_not_found")


def test_the_error_for_a_wrong_method_names_the_right_method(api: Api) -> None:
    answer = api("PUT", "/createQueue")
    assert answer.headers["Allow"] == "POST"
    assert "POST" in problem(answer, 405, "method_not_allowed")["detail"]
    problem(api("OPTIONS", "/createQueue"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{bad", "line 1 column 2"),
        (b'{"queueName":\n  oops}', "line 2 column 3"),
        (b'{"queueName": NaN}', "line 1"),
        (b'{"queueName": Infinity}', "line 1"),
        (b'{"queueName": "a"} x', "trailing"),
        (b'{"queueName": "\xff"}', "UTF-8 at byte 16"),
        ('{"queueName": "a"}'.encode("utf-16"), "not valid UTF-8"),
        (b'{"queueName": "\\ud800"}', "line 1"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "recursion"),
        (b"[1, 2]", "object"),
        (b'"text"', "object"),
        (b"null", "object"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_the_place(api: Api, body: bytes, says: str) -> None:
    answer = api("POST", "/createQueue", data=body, content_type="application/json")
    assert says in problem(answer, 400, "malformed_json")["detail"]


def fields(answer: TestResponse) -> dict[str, str]:
    return {error["field"]: error["detail"] for error in problem(answer, 400, "invalid_request")["errors"]}


def test_an_unknown_field_is_named_with_the_closest_known_one(api: Api) -> None:
    found = fields(api("POST", "/createQueue", json={"queueNam": "x"}))
    assert "'queueName'" in found["queueNam"]
    assert "required" in found["queueName"]
    nested = fields(api("POST", "/createConsumer", json={"queueName": "x", "retry": {"shedule": [1]}}))
    assert "'schedule'" in nested["retry.shedule"]


def test_python_names_are_no_field_names(api: Api) -> None:
    assert "queue_name" in fields(api("POST", "/createQueue", json={"queue_name": "x"}))


def test_a_byte_order_mark_is_passed_over(api: Api) -> None:
    answer = api("POST", "/createQueue", data=b'\xef\xbb\xbf{"queueName": ""}')
    assert fields(answer) == {"queueName": "must not be empty"}


SPEC = {"queueName": "q"}
KEY = {"name": "k", "role": "viewer"}
TO = {"queueName": "q", "url": "http://127.0.0.1:9/"}


@pytest.mark.parametrize(
    ("path", "body", "field", "says"),
    [
        ("/createQueue", SPEC | {"durable": "true"}, "durable", "must be true or false"),
        ("/createQueue", SPEC | {"messageTtl": 1.5}, "messageTtl", "must be a whole number"),
        ("/createQueue", SPEC | {"arguments": []}, "arguments", "must be a JSON object"),
        ("/messagePublish", {"messages": []}, "messages", "must have at least 1 item"),
        ("/messagePublish", {"messages": {}}, "messages", "must be an array"),
        ("/messagePublish", {"messages": [1]}, "messages.0", "must be a JSON object"),
        ("/createApiKey", KEY | {"queues": [""]}, "queues.0", "must have at least 1 character"),
        ("/createApiKey", KEY | {"queues": ["q"] * 101}, "queues", "must have at most 100 items"),
        ("/createApiKey", KEY | {"name": "a b"}, "name", "must match the pattern ^[A-Za-z0-9._@+-]+$"),
        ("/createApiKey", KEY | {"expiresAt": "2027-01-31T12:00:00"}, "expiresAt", "2026-01-31T12:00:00Z"),
        ("/createApiKey", KEY | {"expiresAt": "9999-12-31T23:59:59-14:00"}, "expiresAt", "9999 in UTC"),
        ("/createConsumer", TO | {"timeout": "5"}, "timeout", "must be a number"),
        ("/createConsumer", TO | {"timeout": True}, "timeout", "must be a number"),
        ("/createConsumer", TO | {"ordering": {"header": ""}}, "ordering", "must be 'none', 'queue', {"),
        ("/createConsumer", TO | {"auth": {"type": "canary"}}, "auth", "must have a 'type' of 'basic', 'bearer'"),
        ("/createConsumer", TO | {"outcomes": {"retry": ["2xx"]}}, "outcomes", "under both success and retry"),
        ("/login", {"username": "u", "password": "x" * 1001}, "password", "must have at most 1000 characters"),
    ],
)
def test_a_sentence_says_what_to_change_and_nothing_of_python(
    api: Api, path: str, body: Any, field: str, says: str
) -> None:
    answer = api("POST", path, json=body)
    assert list(fields(answer)) == [field], "one fault is told as one"
    assert says in fields(answer)[field]
    assert f"{field}: " in answer.json["detail"]
    assert "canary" not in answer.text


def test_a_moment_in_a_query_says_how_a_plus_is_written(api: Api) -> None:
    found = fields(api("GET", "/getAuditLog?since=2026-01-31T12:00:00+01:00"))
    assert "+ is written %2B" in found["since"]
    assert api("GET", "/getAuditLog?since=2026-01-31T12:00:00%2B01:00").status_code == 200
    key = {"name": "k", "role": "viewer", "expiresAt": "tomorrow"}
    assert "query" not in fields(api("POST", "/createApiKey", json=key))["expiresAt"]


def test_an_error_in_a_line_names_the_line_number(api: Api) -> None:
    def lines(*given: str) -> TestResponse:
        return api("POST", "/messagePublish", data="\n".join(given), content_type="application/x-ndjson")

    whole = '{"queueName": "q", "message": "x"}'
    wrong = lines(whole, "", '{"queueName": "q", "message": "x", "properties": {"priority": 300}}')
    assert wrong.json["detail"].startswith("Line 3: properties.priority: must be")
    assert list(fields(wrong)) == ["messages.1.properties.priority"]
    assert lines(whole, "[]").json["detail"] == "Line 2: must be a JSON object"
    assert problem(lines(whole, "{bad"), 400, "malformed_json")["detail"].endswith("at column 2.")


@pytest.mark.parametrize("value", [1, 1.5, True, None, [], {}])
def test_types_are_not_guessed(api: Api, value: Any) -> None:
    assert "string" in fields(api("POST", "/createQueue", json={"queueName": value}))["queueName"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 300, "é" * 128, "amq.mine", "a\x00b"])
def test_a_queue_name_that_amqp_has_no_place_for_is_refused(api: Api, name: str) -> None:
    assert "queueName" in fields(api("POST", "/createQueue", json={"queueName": name}))


@pytest.mark.parametrize("url", ["http://", "https:///path", "ftp://x/", "nonsense", "http://x:99999/", "http://a b/"])
def test_a_target_that_is_no_http_url_is_refused(api: Api, url: str) -> None:
    assert "url" in fields(api("POST", "/createConsumer", json={"queueName": "q", "url": url}))


def test_several_mistakes_are_told_at_once(api: Api) -> None:
    answer = api("POST", "/createUser", json={"username": "", "password": "x", "role": "king", "foo": 1})
    assert set(fields(answer)) == {"username", "password", "role", "foo"}
    assert "1 more" in answer.json["detail"]


def test_errors_never_contain_the_values_of_a_request(api: Api) -> None:
    secret = "canary-4711"
    bodies: list[Any] = [
        {"username": "x", "password": secret, "role": "viewer"},
        {"username": secret + "!", "password": secret + secret, "role": secret},
        {"username": "x", "password": [secret], "role": {"a": secret}},
    ]
    for body in bodies:
        answer = api("POST", "/createUser", json=body)
        problem(answer, 400, "invalid_request")
        assert secret not in answer.text
    assert secret not in api("POST", "/createUser", data=f'{{"password": "{secret}", }}').text


def test_bodies_are_json_in_utf_8_and_a_missing_type_is_taken_for_that(api: Api) -> None:
    refused = ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "nonsense",
               "application/json; charset=latin-1"]  # fmt: skip
    for content_type in refused:
        answer = api("POST", "/createUser", data=b"{}", content_type=content_type)
        assert "Content-Type: application/json" in problem(answer, 415, "unsupported_media_type")["detail"] or (
            "UTF-8" in answer.json["detail"]
        )
    problem(api("POST", "/createUser", data=b"{}", headers={"Content-Encoding": "gzip"}), 415, "unsupported_media_type")
    for content_type in (None, "application/json; charset=UTF-8", "application/problem+json"):
        problem(api("POST", "/createUser", data=b"{}", content_type=content_type), 400, "invalid_request")


def test_no_body_is_an_empty_object(api: Api) -> None:
    assert "required" in fields(api("POST", "/createQueue"))["queueName"]


def test_a_body_over_the_limit_is_refused_however_it_is_sent(make_app: MakeApp) -> None:
    api = Api(make_app(max_body_bytes=1024))
    large = b'{"username": "' + b"x" * 1024 + b'"}'
    assert "1024" in problem(api("POST", "/login", data=large), 413, "body_too_large")["detail"]
    chunked = {"wsgi.input": io.BytesIO(large), "wsgi.input_terminated": True, "CONTENT_TYPE": "application/json"}
    problem(api("POST", "/login", environ_overrides=chunked), 413, "body_too_large")
    early_end = {"wsgi.input": io.BytesIO(b'{"username"'), "CONTENT_LENGTH": "500"}
    assert (
        "11 of 500 bytes"
        in problem(api("POST", "/login", environ_overrides=early_end), 400, "invalid_request")["detail"]
    )


def test_a_body_of_just_the_limit_is_taken(make_app: MakeApp) -> None:
    api = Api(make_app(max_body_bytes=1024))
    body = b'{"nonsense": "' + b"x" * (1024 - 16) + b'"}'
    problem(api("POST", "/login", data=body), 400, "invalid_request")


def test_query_parameters_are_converted_checked_and_known(api: Api) -> None:
    assert api("GET", "/getUsers?page=1&pageSize=500").status_code == 200
    for query in ("page=0", "page=x", "pageSize=501", "pageSize=0", "page=1.5", "page=", "pagesize=3"):
        assert query.partition("=")[0] in fields(api("GET", f"/getUsers?{query}"))
    assert "'pageSize'" in fields(api("GET", "/getUsers?pagesize=3"))["pagesize"]
    assert "2 times" in problem(api("GET", "/getUsers?page=1&page=2"), 400, "invalid_request")["detail"]


def test_lists_are_paged_with_a_total_and_links(api: Api) -> None:
    for name in ("b", "c", "d", "e"):
        body = {"username": name, "password": "a password of b", "role": "viewer"}
        assert api("POST", "/createUser", json=body).status_code == 201
    answer = api("GET", "/getUsers?page=2&pageSize=2")
    assert [user["username"] for user in answer.json] == ["c", "d"]
    assert answer.headers["X-Total-Count"] == "5"
    links = dict(reversed(link.split("; rel=")) for link in answer.headers["Link"].split(", "))
    assert links == {
        '"first"': "<getUsers?page=1&pageSize=2>",
        '"prev"': "<getUsers?page=1&pageSize=2>",
        '"next"': "<getUsers?page=3&pageSize=2>",
        '"last"': "<getUsers?page=3&pageSize=2>",
    }
    beyond = api("GET", "/getUsers?page=9&pageSize=2")
    assert (beyond.json, beyond.headers["X-Total-Count"]) == ([], "5")


def test_a_fault_of_ours_shows_nothing_but_the_request_id(make_app: MakeApp) -> None:
    app = make_app()

    def fail() -> str:
        raise RuntimeError("canary: amqp://user:secret@host/")

    app.add_url_rule("/fail", view_func=fail)
    answer = Api(app)("GET", "/fail")
    problem(answer, 500, "internal_error")
    assert "canary" not in answer.text
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_every_answer_carries_the_security_headers(api: Api) -> None:
    for path in ("/health/live", "/nowhere", "/getUsers"):
        headers = api("GET", path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in headers
    assert "Strict-Transport-Security" in api("GET", "/health/live", base_url="https://x/").headers


def test_proxy_headers_count_only_when_proxies_are_trusted(make_app: MakeApp) -> None:
    for trusted, secure in ((0, False), (1, True)):
        answer = Api(make_app(trusted_proxies=trusted))("GET", "/health/live", headers={"X-Forwarded-Proto": "https"})
        assert ("Strict-Transport-Security" in answer.headers) is secure
