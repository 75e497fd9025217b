"""/api/connections, /api/channels, /api/consumers: list, show, close a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from broker.core.consumer import Consumer
from broker.management import details
from broker.management.errors import NotAuthorised, NotFound
from broker.management.http import Response
from broker.management.pagination import Item, paginated, paginated_lazily, select_columns
from broker.management.routing import Call, Routes

if TYPE_CHECKING:
    from broker.session.connection import Connection

routes = Routes()


def _visible(call: Call) -> Iterator[Connection]:
    """Yield the user's own connections, or all for monitors."""
    everyone = call.has_tag("monitoring")
    for connection in call.server.connections.values():
        user = connection.user
        if user is not None and (everyone or user.name == call.user.name):
            yield connection


def _found(call: Call) -> Connection:
    connection = call.server.connections.get(call.parts["connection"])
    if connection is None or connection.user is None:
        raise NotFound
    if not call.has_tag("monitoring") and connection.user.name != call.user.name:
        raise NotAuthorised("User not authorised to access object")
    return connection


async def _listed(call: Call, connections: Iterable[Connection]) -> Any:
    def show(connection: Connection) -> Item:
        return details.of_connection(connection, call.node, call.rates, call.now)

    return await paginated_lazily(list(connections), show, call.query)


@routes.add("GET", "connections")
async def all_connections(call: Call) -> Any:
    """List every connection that the user can see."""
    return await _listed(call, _visible(call))


@routes.add("GET", "vhosts/{vhost}/connections")
async def vhost_connections(call: Call) -> Any:
    here = [one for one in _visible(call) if one.vhost is call.vhost]
    return await _listed(call, here)


@routes.add("GET", "connections/username/{user}")
async def user_connections(call: Call) -> Any:
    theirs = [one for one in _visible(call) if one.user and one.user.name == call.parts["user"]]
    return await _listed(call, theirs)


@routes.add("GET", "connections/{connection}")
def one_connection(call: Call) -> Item:
    return select_columns(details.of_connection(_found(call), call.node, call.rates, call.now), call.query)


@routes.add("DELETE", "connections/{connection}")
async def close(call: Call) -> Response:
    """Close a connection (320 CONNECTION_FORCED). The client receives the X-Reason header as reason."""
    connection = _found(call)
    reason = call.request.headers.get("x-reason", "Closed via management plugin")
    # RabbitMQ passes the header's bytes on as UTF-8; the head was decoded as latin-1.
    await call.server.close_connection(connection.name, reason.encode("latin-1").decode("utf-8", "replace"))
    return Response(204)


@routes.add("GET", "channels")
def all_channels(call: Call) -> Any:
    """List every channel that the user can see."""
    return paginated([item for one in _visible(call) for item in _channels(call, one)], call.query)


@routes.add("GET", "vhosts/{vhost}/channels")
def vhost_channels(call: Call) -> Any:
    here = [one for one in _visible(call) if one.vhost is call.vhost]
    return paginated([item for one in here for item in _channels(call, one)], call.query)


@routes.add("GET", "connections/{connection}/channels")
def connection_channels(call: Call) -> Any:
    return paginated(_channels(call, _found(call)), call.query)


def _channels(call: Call, connection: Connection) -> list[Item]:
    return [details.of_channel(connection, number, call.node) for number in sorted(connection.channels)]


@routes.add("GET", "channels/{channel}")
def one_channel(call: Call) -> Item:
    """Show one channel with its consumers."""
    for connection in _visible(call):
        for item in _channels(call, connection):
            if item["name"] == call.parts["channel"]:
                everyone = consumers_of(call, lambda one: True)
                item["consumer_details"] = [
                    one for one in everyone if one["channel_details"]["name"] == call.parts["channel"]
                ]
                return select_columns(item | {"publishes": [], "deliveries": []}, call.query)
    raise NotFound


@routes.add("GET", "consumers")
def all_consumers(call: Call) -> Any:
    """List every consumer in a vhost that the user can see."""
    return paginated(consumers_of(call, lambda one: call.can_see(one.queue.vhost.name)), call.query)


@routes.add("GET", "consumers/{vhost}")
def vhost_consumers(call: Call) -> Any:
    return paginated(consumers_of(call, lambda one: one.queue.vhost is call.vhost), call.query)


def consumers_of(call: Call, wanted: Callable[[Consumer], bool]) -> list[Item]:
    """Return the `wanted` consumers of all connections."""
    return [
        details.of_consumer(consumer, connection, number, call.node)
        for connection in call.server.connections.values()
        for number, channel in connection.channels.items()
        for consumer in channel.consumers.values()
        if wanted(consumer)
    ]
