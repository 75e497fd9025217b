"""/api/bindings: list, show, bind, unbind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from broker.core.checks import check_source
from broker.core.exchanges import Binding
from broker.core.vhost import Vhost
from broker.management import details
from broker.management.errors import NotFound
from broker.management.http import Response
from broker.management.pagination import Item, select_columns, sorted_items
from broker.management.routing import Call, Routes

routes = Routes()

# The path's letter for the kind of destination.
_KINDS = {"q": "queue", "e": "exchange"}


@routes.add("GET", "bindings")
def all_bindings(call: Call) -> Any:
    """List every binding that the user can see."""
    found = [item for vhost in call.visible_vhosts() for item in _sorted(vhost, vhost.bindings())]
    return sorted_items(found, call.query)


@routes.add("GET", "bindings/{vhost}")
def vhost_bindings(call: Call) -> Any:
    return sorted_items(items(call, call.vhost.bindings()), call.query)


def items(call: Call, bindings: Iterable[Binding]) -> list[Item]:
    """Return bindings of the path's vhost as the API shows them."""
    return _sorted(call.vhost, bindings)


def _sorted(vhost: Vhost, bindings: Iterable[Binding]) -> list[Item]:
    shown = [details.of_binding(one, vhost.name) for one in bindings]
    return sorted(shown, key=lambda item: (item["source"], item["destination"], item["properties_key"]))


def _between(call: Call) -> list[Binding]:
    """Return the bindings between the path's exchange and its queue or exchange."""
    kind = _kind(call)
    source = "" if call.parts["source"] == "amq.default" else call.parts["source"]
    incoming = call.vhost.bindings_to(kind, call.parts["destination"])
    return [one for one in incoming if one.source == source]


def _kind(call: Call) -> str:
    try:
        return _KINDS[call.parts["kind"]]
    except KeyError:
        raise NotFound from None


@routes.add("GET", "bindings/{vhost}/e/{source}/{kind}/{destination}")
def bindings_between(call: Call) -> Any:
    """List the bindings between an exchange and a queue or exchange."""
    return sorted_items(items(call, _between(call)), call.query)


@routes.add("POST", "bindings/{vhost}/e/{source}/{kind}/{destination}")
def bind(call: Call) -> Response:
    """Bind by `routing_key` and `arguments`. The Location header names the binding."""
    kind, source, destination = _kind(call), call.parts["source"], call.parts["destination"]
    routing_key, table = str(call.json.get("routing_key", "")), call.arguments
    _require(call, kind, source, destination, routing_key)
    call.vhost.bind(source, kind, destination, routing_key, table)
    key = next(
        details.properties_key(one)
        for one in _between(call)
        if (one.routing_key, one.arguments) == (routing_key, table)
    )
    return Response(
        201,
        headers={"location": "/".join(quote(part, safe="", errors="surrogateescape") for part in (destination, key))},
    )


def _require(call: Call, kind: str, source: str, destination: str, routing_key: str) -> None:
    call.require("write", kind, destination)
    check_source(call.user, call.vhost, source, routing_key)


@routes.add("GET", "bindings/{vhost}/e/{source}/{kind}/{destination}/{key}")
def one_binding(call: Call) -> Item:
    """Show one binding by its properties key."""
    return select_columns(details.of_binding(_found(call), call.vhost.name), call.query)


def _found(call: Call) -> Binding:
    for one in _between(call):
        if details.has_properties_key(one, call.parts["key"]):
            return one
    raise NotFound


@routes.add("DELETE", "bindings/{vhost}/e/{source}/{kind}/{destination}/{key}")
def unbind(call: Call) -> Response:
    binding = _found(call)
    _require(call, binding.kind, binding.source, binding.destination, binding.routing_key)
    call.vhost.unbind(binding.source, binding.kind, binding.destination, binding.routing_key, binding.arguments)
    return Response(204)
