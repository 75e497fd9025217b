"""Routes a method and path to its function and checks the user's tags. Knows no resource by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from broker.management.errors import ApiError, BadRequest, NotAuthorised, NotFound
from broker.management.http import Request
from broker.management.json_body import read_json
from broker.management.rates import Rates

if TYPE_CHECKING:
    from broker.core.broker import Broker
    from broker.core.users import User
    from broker.core.vhost import Vhost
    from broker.server import Server

_MAX_NAME = 255  # bytes

# The API's tags, each with the tags that include it (https://www.rabbitmq.com/docs/management#permissions).
_TAGS_INCLUDING = {
    "management": {"management", "policymaker", "monitoring", "administrator"},
    "policymaker": {"policymaker", "administrator"},
    "monitoring": {"monitoring", "administrator"},
    "administrator": {"administrator"},
}
_REFUSED = {
    "management": "Not management user",
    "policymaker": "User not authorised to access object",
    "monitoring": "Not monitor user",
    "administrator": "Not administrator user",
}


@dataclass(frozen=True)
class Call:
    """One authenticated request for a route's function. `now` is seconds since the epoch."""

    server: Server
    user: User
    request: Request
    body: bytes
    now: float
    node: str
    rates: Rates
    api_addresses: list[tuple[str, int]]
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def core(self) -> Broker:
        return self.server.core

    @property
    def query(self) -> dict[str, str]:
        return self.request.query

    @property
    def vhost(self) -> Vhost:
        """The vhost in the path. `Route.call` has checked that it exists and that the user may access it."""
        return self.core.vhosts[self.parts["vhost"]]

    @cached_property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object, {} when it is empty. Raises BadRequest."""
        if not self.body:
            return {}
        return read_json(self.body)

    def required(self, *names: str) -> list[Any]:
        """Return the body's fields of these names. Raises BadRequest that lists the missing ones."""
        missing = [f"{{key_missing,{name}}}" for name in names if name not in self.json]
        if missing:
            raise BadRequest(f"[{','.join(missing)}]")
        return [self.json[name] for name in names]

    @property
    def arguments(self) -> dict[str, Any]:
        """The body's `arguments` as an AMQP table. Raises BadRequest."""
        given = self.json.get("arguments", {})
        if given == []:  # PHP's and Erlang's empty object
            return {}
        if not isinstance(given, dict):
            raise BadRequest(["not_object", given])
        return given

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean field of the body, which may be the text "true" or "false". Raises BadRequest."""
        value = self.json.get(name, default)
        if value in (True, "true"):
            return True
        if value in (False, "false"):
            return False
        raise BadRequest(["not_boolean", value])

    def require(self, access: str, kind: str, name: str) -> None:
        """Raise AmqpError 403 unless the user has this access to a queue or exchange of the path's vhost."""
        self.user.require(access, kind, name, self.parts["vhost"])

    def has_tag(self, tag: str) -> bool:
        """Return whether the user's tags include this one."""
        return bool(_TAGS_INCLUDING[tag] & set(self.user.tags))

    def can_see(self, vhost: str) -> bool:
        """Return whether the user has permissions in a vhost or is an administrator."""
        return self.has_tag("administrator") or vhost in self.user.permissions

    def visible_vhosts(self) -> Iterator[Vhost]:
        """Yield the vhosts that the user can see."""
        return (vhost for vhost in self.core.vhosts.values() if self.can_see(vhost.name))


def check_name(kind: str, name: str) -> None:
    """Raise BadRequest for a name that AMQP cannot encode (AMQP 0-9-1 §4.2.5.3)."""
    size = len(name.encode("utf-8", "surrogateescape"))
    if size > _MAX_NAME:
        raise BadRequest(f"{kind} should be less than 255 bytes, actually was {size}")


Function = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    """A method of a path; `path` has parameters in braces."""

    method: str
    path: tuple[str, ...]
    function: Function
    tag: str

    def call(self, call: Call) -> Any:
        """Check the user's tags and vhost, and call the function. Raises ApiError."""
        if not call.has_tag("management"):
            raise NotAuthorised(_REFUSED["management"])
        if not call.has_tag(self.tag):
            raise NotAuthorised(_REFUSED[self.tag])
        if "vhost" in call.parts:
            self._check_vhost(call, call.parts["vhost"])
        return self.function(call)

    def _check_vhost(self, call: Call, vhost: str) -> None:
        if vhost not in call.core.vhosts:
            if self.method in ("PUT", "POST"):
                raise ApiError(404, "not_found", "vhost_not_found")
            raise NotFound
        reads_all = self.method == "GET" and call.has_tag("administrator")
        if not reads_all and vhost not in call.user.permissions:
            raise NotAuthorised("User not authorised to access virtual host")


class Routes:
    """The routes of a resource, collected by decorators and joined by `include`."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def add(self, method: str, path: str, tag: str = "management") -> Callable[[Function], Function]:
        """Return a decorator that makes the function answer `method` on `/api/<path>`."""

        def register(function: Function) -> Function:
            self._routes.append(Route(method, tuple(path.split("/")), function, tag))
            return function

        return register

    def include(self, others: Routes) -> None:
        """Add another resource's routes."""
        self._routes += others._routes

    def find(self, path: tuple[str, ...]) -> dict[str, tuple[Route, dict[str, str]]]:
        """Return the routes of a path and its parameters, by method; the most literal path wins. Raises NotFound."""
        matching = [(route, parts) for route in self._routes if (parts := _match(route.path, path)) is not None]
        if not matching:
            raise NotFound
        fewest = min(len(parts) for _, parts in matching)
        return {route.method: (route, parts) for route, parts in matching if len(parts) == fewest}


def _match(pattern: tuple[str, ...], path: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(path):
        return None
    parts: dict[str, str] = {}
    for expected, given in zip(pattern, path, strict=True):
        if expected.startswith("{"):
            parts[expected.strip("{}")] = given
        elif expected != given:
            return None
    return parts
