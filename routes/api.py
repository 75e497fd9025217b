"""The route decorator: it authorises the caller, validates the input, calls the view and serialises the answer. Every
route uses it.

Each module of routes/ creates an Api and decorates its views, each of about five lines:

    api = Api("queues")

    @api.post("/createQueue", role="operator", statuses=(200, 201))
    def create_queue(body: QueueSpec) -> Reply[QueueDone]:
        \"""Create a queue.\"""
        new = services.queues.create(body)
        return done("Queue has been created successfully.", status=201 if new else 200)

The annotations of a view are the types of the operation: of its `body`, if it has one, of its `query`, if it has one,
both validated, and of the answer's content. A view raises domain errors, which routes/errors.py converts to answers.
Its docstring is the API's documentation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, get_args, get_type_hints

from flask import Blueprint, Response
from pydantic_core import to_json

from domain.model import Model
from domain.user import Role
from middlewares.auth import authorize
from middlewares.request_log import note_route
from routes.audit import audited, watched
from routes.idempotency import once
from routes.inputs import PageQuery, read_body, read_query, read_query_or_body
from routes.scope import NO_QUEUE, Touches

Content = TypeVar("Content")


@dataclass(frozen=True, slots=True)
class Reply(Generic[Content]):
    """The answer of a view: JSON content (Models are serialised with camelCase names), status and extra headers."""

    content: Content
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def done(message: str, status: int = 200, **fields: Any) -> Reply[Any]:
    """Return the usual answer to a change: `{"message": …}` and the `fields`, which have camelCase names."""
    return Reply({"message": message, **fields}, status)


View = Callable[..., Reply[Any] | Response]
"""A view returns a Response only for content that is not JSON; the route declares its content type with `media=…`."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A registered route. Without `role` it is public. `lines` is the field of the body that an NDJSON body fills.
    `touches` gives the queues that the operation accesses (scope.py), `idempotent` enables Idempotency-Key
    (idempotency.py), and `audit` decides which requests are recorded (audit.py). For the documentation: `answer` is the
    type of the content, `media` its content type, and `refuses` the errors (refusals.py) beyond those of its inputs."""

    method: str
    path: str
    view: View
    body: type[Model] | None
    query: type[Model] | None
    answer: Any
    role: Role | None = None
    lines: str | None = None
    statuses: tuple[int, ...] = (200,)
    media: str = "application/json"
    refuses: tuple[str, ...] = ()
    touches: Touches = NO_QUEUE
    idempotent: bool = False
    audit: Literal["always", "refused"] = "always"

    @property
    def documentation(self) -> str:
        """Return the docstring of the view."""
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
        if allowed and self.touches.names is None:
            self.touches.check(allowed, None)
        if self.query is not None:
            inputs["query"] = query = read_query(self.query)
            if isinstance(query, PageQuery) and query.fields:
                query.check_fields(self._fields_of_items())
        if self.body is not None:
            in_query = self.method == "DELETE"
            inputs["body"] = read_query_or_body(self.body) if in_query else read_body(self.body, self.lines)
        if allowed:
            self.touches.check(allowed, inputs.get("body", inputs.get("query")))
        return once(lambda: self._answer(inputs)) if self.idempotent else self._answer(inputs)

    def _fields_of_items(self) -> list[str]:
        """Return the JSON names of the fields of a list's items."""
        [item] = get_args(self.answer)
        return [field.serialization_alias or name for name, field in item.model_fields.items()]

    def _answer(self, inputs: dict[str, Any]) -> Response:
        reply = watched(lambda: self.view(**inputs), self.path.lstrip("/"), inputs.get("body"))
        if isinstance(reply, Response):
            return reply
        content = to_json(reply.content, by_alias=True) + b"\n"
        return Response(content, reply.status, dict(reply.headers), content_type="application/json")


class Api:
    """The routes of one resource: a blueprint, and `operations` for the documentation."""

    def __init__(self, name: str) -> None:
        self.blueprint = Blueprint(name, __name__)
        self.operations: list[Operation] = []

    def route(
        self, method: str, path: str, *, public: bool = False, answer: Any = None, **options: Any
    ) -> Callable[[View], View]:
        """Register a view for callers with at least `role`, or for everybody with `public=True`. One of them is
        required; otherwise raise TypeError. `answer` is for a view that returns a Response. For the other options see
        Operation."""
        if ("role" in options) is public:
            raise TypeError(f"{method} {path}: give either role=… or public=True")

        def register(view: View) -> View:
            types = get_type_hints(view)
            [content] = get_args(types["return"]) or [answer]
            operation = Operation(method, path, view, types.get("body"), types.get("query"), content, **options)
            self.operations.append(operation)
            self.blueprint.add_url_rule(
                path, view.__name__, operation, methods=[method], provide_automatic_options=False
            )
            return view

        return register

    def get(self, path: str, **options: Any) -> Callable[[View], View]:
        return self.route("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[View], View]:
        return self.route("POST", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[View], View]:
        return self.route("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[View], View]:
        """Register a view whose `body` may also be sent, and is documented, as query parameters."""
        return self.route("DELETE", path, **options)
