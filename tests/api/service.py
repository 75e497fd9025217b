"""The whole service over a broker, as a client sees it: users of every role, and short forms of the methods."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from domain.user import Role
from gateway.mongo import Store
from tests.api.client import Api, add_user


class Service(Api):
    """Requests are the admin's unless another `role` is said. `store` is what the app keeps in MongoDB."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.store: Store = app.extensions["store"]
        self._clients: dict[Role, Api] = {"admin": self}
        self._add("admin")
        assert self.login().status_code == 200

    def _add(self, role: Role) -> None:
        add_user(self.app, role, role)

    def call(
        self, method: str, path: str, body: Any = None, *, role: Role = "admin", headers: Any = None, **query: Any
    ) -> TestResponse:
        """One request. `body` is JSON, or bytes that are sent as they are; `query` the parameters."""
        payload: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        return self._client_of(role)(method, path, headers=headers or {}, query_string=query or None, **payload)

    def _client_of(self, role: Role) -> Api:
        if role not in self._clients:
            self._add(role)
            self._clients[role] = Api(self.app)
            assert self._clients[role].login(role).status_code == 200
        return self._clients[role]

    def get(self, path: str, **query: Any) -> TestResponse:
        """GET with `query` parameters."""
        return self.call("GET", path, **query)

    def post(self, path: str, body: Any = None, **options: Any) -> TestResponse:
        """POST a JSON body."""
        return self.call("POST", path, body, **options)

    def patch(self, path: str, body: Any, **options: Any) -> TestResponse:
        """PATCH with a JSON body."""
        return self.call("PATCH", path, body, **options)

    def delete(self, path: str, body: Any = None, **options: Any) -> TestResponse:
        """DELETE with a JSON body."""
        return self.call("DELETE", path, body, **options)


def assert_problem(answer: TestResponse, status: int, code: str, *words: str) -> dict[str, Any]:
    """The answer is problem+json with this status and code, and its detail holds the words; the body."""
    body: dict[str, Any] = answer.get_json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert answer.content_type == "application/problem+json"
    for word in words:
        assert word in body["detail"], body
    return body
