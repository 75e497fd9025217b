"""Connections of clients to the broker: GET /getConnections, GET /getChannels, DELETE /closeConnection."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.details import ChannelDetails, ConnectionDetails
from domain.model import Model
from domain.publication import Label
from routes.answers import ConnectionDone
from routes.api import Api, Reply, done, services
from routes.paging import NamedQuery, paged
from routes.scope import NO_QUEUE

api = Api("connections")


class ConnectionsQuery(NamedQuery):
    """Which connections, by `connectionId` or `connectionName`."""

    sort: Literal["connectedAt", "connectionId", "connectionName", "user", "state", "channels"] = "connectedAt"


class ChannelsQuery(NamedQuery):
    """Which channels, by `connectionId`."""

    sort: Literal["connectionId", "user", "state", "consumers", "prefetch", "unacked", "unconfirmed"] = "connectionId"
    connection_id: str | None = Field(None, min_length=1, max_length=1000, description="only those of this connection")


class CloseConnection(Model):
    """Which connection, and what its client is told."""

    connection_id: str = Field(min_length=1, max_length=1000, examples=["127.0.0.1:40312 -> 127.0.0.1:5672"])
    reason: Label = "closed by an operator of WorkerRMQ"


@api.get("/getConnections", role="viewer", touches=NO_QUEUE, query=ConnectionsQuery, answer=list[ConnectionDetails])
def get_connections(query: ConnectionsQuery) -> Reply:
    """The open connections to the broker, the oldest first; this service's own are among them."""
    return paged(services.connections.page(query.selection()), query)


@api.get("/getChannels", role="viewer", touches=NO_QUEUE, query=ChannelsQuery, answer=list[ChannelDetails])
def get_channels(query: ChannelsQuery) -> Reply:
    """The channels on the connections to the broker: who consumes, and how much is not acked or confirmed yet."""
    return paged(services.connections.channels(query.selection(), query.connection_id), query)


@api.delete(
    "/closeConnection", role="operator", touches=NO_QUEUE, body=CloseConnection, answer=ConnectionDone, refuses=(404,)
)
def close_connection(body: CloseConnection) -> Reply:
    """Close a client's connection from the broker's side. A client that reconnects comes back with another id."""
    services.connections.close(body.connection_id, body.reason)
    return done("Connection has been closed successfully.", connectionId=body.connection_id)
