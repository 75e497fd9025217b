"""/api/exchanges: list, show, declare, delete."""

from __future__ import annotations

from typing import Any

from broker.core.exchanges import Exchange
from broker.core.vhost import Vhost
from broker.management import bindings, details
from broker.management.errors import NotFound
from broker.management.http import Response
from broker.management.pagination import Item, paginated, select_columns, sorted_items
from broker.management.routing import Call, Routes, check_name

routes = Routes()

# The default exchange's name in paths.
DEFAULT = "amq.default"


@routes.add("GET", "exchanges")
def all_exchanges(call: Call) -> Any:
    """List every exchange that the user can see."""
    return paginated([item for vhost in call.visible_vhosts() for item in _items(call, vhost)], call.query)


@routes.add("GET", "exchanges/{vhost}")
def vhost_exchanges(call: Call) -> Any:
    return paginated(_items(call, call.vhost), call.query)


def _items(call: Call, vhost: Vhost) -> list[Item]:
    ordered = sorted(vhost.exchanges.values(), key=lambda exchange: exchange.name)
    return [details.of_exchange(exchange, vhost.name, call.rates, call.now) for exchange in ordered]


@routes.add("GET", "exchanges/{vhost}/{name}")
def one_exchange(call: Call) -> Item:
    item = details.of_exchange(found(call), call.vhost.name, call.rates, call.now)
    return select_columns(item | {"incoming": [], "outgoing": []}, call.query)


def name_in_path(call: Call, part: str = "name") -> str:
    """Return the exchange's name, "" for the default one."""
    name = call.parts[part]
    return "" if name == DEFAULT else name


def found(call: Call) -> Exchange:
    """Return the exchange in the path. Raises NotFound."""
    exchange = call.vhost.exchanges.get(name_in_path(call))
    if exchange is None:
        raise NotFound
    return exchange


@routes.add("PUT", "exchanges/{vhost}/{name}")
def declare(call: Call) -> Response:
    """Declare an exchange: 201 for a new one, 204 for an existing one with the same settings."""
    name = name_in_path(call)
    check_name("exchange", name)
    call.require("configure", "exchange", name)
    is_new = name not in call.vhost.exchanges
    call.vhost.declare_exchange(
        name,
        str(call.json.get("type", "direct")),
        durable=call.flag("durable"),
        auto_delete=call.flag("auto_delete"),
        internal=call.flag("internal"),
        arguments=call.arguments,
    )
    return Response(201 if is_new else 204)


@routes.add("DELETE", "exchanges/{vhost}/{name}")
def delete(call: Call) -> Response:
    """Delete an exchange. The query may set `if-unused`."""
    exchange = found(call)
    call.require("configure", "exchange", exchange.name)
    call.vhost.delete_exchange(exchange.name, if_unused=call.query.get("if-unused") == "true")
    return Response(204)


@routes.add("GET", "exchanges/{vhost}/{name}/bindings/source")
def bindings_from(call: Call) -> Any:
    name = name_in_path(call)
    return sorted_items(bindings.items(call, (one for one in call.vhost.bindings() if one.source == name)), call.query)


@routes.add("GET", "exchanges/{vhost}/{name}/bindings/destination")
def bindings_to(call: Call) -> Any:
    return sorted_items(bindings.items(call, call.vhost.bindings_to("exchange", name_in_path(call))), call.query)
