"""Client connections to the broker: GET /getConnections, GET /getChannels, DELETE /closeConnection."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.details import ChannelDetails, ConnectionDetails
from domain.model import Model
from domain.publication import Label
from middlewares.auth import services
from routes.answers import ConnectionDone
from routes.api import Api, Reply, done
from routes.paging import NamedQuery, paged
from routes.refusals import BROKER

api = Api("connections")


class ConnectionsQuery(NamedQuery):
    """Parameters of the list of connections. `name` matches `connectionId` or `connectionName`."""

    sort: Literal["connectedAt", "connectionId", "connectionName", "user", "state", "channels"] = "connectedAt"


class ChannelsQuery(NamedQuery):
    """Parameters of the list of channels. `name` matches `connectionId`."""

    sort: Literal["connectionId", "user", "state", "consumers", "prefetch", "unacked", "unconfirmed"] = "connectionId"
    connection_id: str | None = Field(
        None, min_length=1, max_length=1000, description="only channels of this connection"
    )


class CloseConnection(Model):
    """The connection to close, and the reason that the broker sends to its client."""

    connection_id: str = Field(min_length=1, max_length=1000, examples=["127.0.0.1:40312 -> 127.0.0.1:5672"])
    reason: Label = "closed by an operator of WorkerRMQ"


@api.get("/getConnections", role="viewer", refuses=BROKER)
def get_connections(query: ConnectionsQuery) -> Reply[list[ConnectionDetails]]:
    """List the open connections to the broker, the oldest first, including this service's own."""
    return paged(services.connections.page(query.selection()), query)


@api.get("/getChannels", role="viewer", refuses=BROKER)
def get_channels(query: ChannelsQuery) -> Reply[list[ChannelDetails]]:
    """List the channels to the broker, with their consumers and their unacked and unconfirmed messages."""
    return paged(services.connections.channels(query.selection(), query.connection_id), query)


@api.delete("/closeConnection", role="operator", refuses=("404 connection_not_found", *BROKER))
def close_connection(body: CloseConnection) -> Reply[ConnectionDone]:
    """Close a client's connection from the broker's side. A client that reconnects gets a new `connectionId`."""
    services.connections.close(body.connection_id, body.reason)
    return done("Connection has been closed successfully.", connectionId=body.connection_id)
