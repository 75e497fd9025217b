"""The route decorator: it authorises, validates, calls the view, and answers JSON. The one way to make a route.

Each module of routes/ makes an Api and decorates its views, each of about five lines:

    api = Api("queues")

    @api.post("/createQueue", role="operator", body=QueueSpec, status=(200, 201))
    def create_queue(body: QueueSpec) -> Reply:
        \"""Create a queue; asking again for the same changes nothing.\"""
        new = services.queues.create(body)
        return done("Queue has been created successfully.", status=201 if new else 200)

A view takes `body` when it declared a body and `query` when it declared a query, both validated; it raises domain
errors, which routes/errors.py answers. Its docstring is the API's documentation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from flask import Blueprint, Response, current_app
from pydantic_core import to_json
from werkzeug.local import LocalProxy

from domain.model import Model
from domain.user import Role
from middlewares.auth import authorize
from middlewares.request_log import note_route
from routes.audit import audited
from routes.idempotency import once
from routes.inputs import PageQuery, Query, read_body, read_query
from routes.scope import NO_QUEUE, Touches
from services.bundle import Services

services = cast(Services, LocalProxy(lambda: current_app.extensions["services"]))
"""The services of the app that handles the request."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a view answers: JSON content (Models are written with their camelCase names), status and extra headers."""

    content: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def done(message: str, status: int = 200, **fields: Any) -> Reply:
    """The usual answer to a change: `{"message": …}`, and camelCase `fields`."""
    return Reply({"message": message, **fields}, status)


View = Callable[..., Reply | Response]
"""One that answers a Response, for what is not JSON, has said its content type with `media=…`."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One registered route. Without `role` it is public. `lines` is the field of the body that NDJSON can fill. For
    documentation: `answer` is the type of the content, `media` its content type, `refuses` the statuses of refusals
    beside those that come of its inputs. `touches` says which queues it is about (scope.py); `idempotent`, that an
    Idempotency-Key counts (idempotency.py); `audit`, when it is recorded (audit.py)."""

    method: str
    path: str
    role: Role | None
    body: type[Model] | None
    lines: str | None
    query: type[Query] | None
    answer: Any
    statuses: tuple[int, ...]
    media: str
    refuses: tuple[int, ...]
    view: View
    touches: Touches | None = None
    idempotent: bool = False
    audit: Literal["always", "refused"] = "always"

    @property
    def documentation(self) -> str:
        """The docstring of the view."""
        return inspect.getdoc(self.view) or ""

    def __call__(self) -> Response:
        """Handle the current request. Raises domain errors."""
        note_route(self.path)
        if self.method == "GET":
            return self._handled({})
        inputs: dict[str, Any] = {}
        return audited(lambda: self._handled(inputs), inputs, self.audit == "refused")

    def _handled(self, inputs: dict[str, Any]) -> Response:
        allowed = authorize(self.role).queues if self.role is not None else None
        touches = self.touches or NO_QUEUE
        if allowed and touches.names is None:
            touches.check(allowed, None)
        if self.query is not None:
            inputs["query"] = query = read_query(self.query)
            if isinstance(query, PageQuery) and query.fields:
                query.check_fields(self._fields_of_items())
        if self.body is not None:
            inputs["body"] = read_body(self.body, self.lines)
        if allowed:
            touches.check(allowed, inputs.get("body", inputs.get("query")))
        return once(lambda: self._answer(inputs)) if self.idempotent else self._answer(inputs)

    def _fields_of_items(self) -> list[str]:
        """Of a list: what each of its items has, by the names that clients know."""
        [item] = get_args(self.answer)
        return [field.serialization_alias or name for name, field in item.model_fields.items()]

    def _answer(self, inputs: dict[str, Any]) -> Response:
        reply = self.view(**inputs)
        if isinstance(reply, Response):
            return reply
        content = to_json(reply.content, by_alias=True) + b"\n"
        return Response(content, reply.status, dict(reply.headers), content_type="application/json")


class Api:
    """The routes of one resource, as a blueprint and as `operations` to document."""

    def __init__(self, name: str) -> None:
        self.blueprint = Blueprint(name, __name__)
        self.operations: list[Operation] = []

    def get(self, path: str, **options: Any) -> Callable[[View], View]:
        """A route that reads. Options as for `route`."""
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[View], View]:
        """A route that creates or acts. Options as for `route`."""
        return self.route("POST", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[View], View]:
        """A route that changes. Options as for `route`."""
        return self.route("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[View], View]:
        """A route that removes. Options as for `route`."""
        return self.route("DELETE", path, **options)

    def route(
        self,
        method: str,
        path: str,
        *,
        role: Role | None = None,
        public: bool = False,
        body: type[Model] | None = None,
        lines: str | None = None,
        query: type[Query] | None = None,
        answer: Any = None,
        status: int | tuple[int, ...] = 200,
        media: str = "application/json",
        refuses: tuple[int, ...] = (),
        touches: Touches | None = None,
        idempotent: bool = False,
        audit: Literal["always", "refused"] = "always",
    ) -> Callable[[View], View]:
        """Register a view for callers of at least `role`, or for everybody with `public=True`: one must be said."""
        if (role is None) is not public:
            raise TypeError(f"{method} {path}: say either role=… or public=True")
        statuses = (status,) if isinstance(status, int) else status

        def register(view: View) -> View:
            operation = Operation(
                method,
                path,
                role,
                body,
                lines,
                query,
                answer,
                statuses,
                media,
                refuses,
                view,
                touches,
                idempotent,
                audit,
            )
            self.operations.append(operation)
            self.blueprint.add_url_rule(
                path, view.__name__, operation, methods=[method], provide_automatic_options=False
            )
            return view

        return register
