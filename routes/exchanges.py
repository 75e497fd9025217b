"""Exchanges and bindings: POST /createExchange, GET /getExchanges, DELETE /deleteExchange, POST /bindQueue,
POST /unbindQueue, GET /getBindings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.details import BindingDetails, ExchangeDetails
from domain.exchange import BindingSpec, ExchangeSpec, NewBinding
from domain.model import Model
from domain.names import ExchangeName, NewName, QueueName
from middlewares.auth import services
from routes.answers import Done, ExchangeDone
from routes.api import Api, Reply, done
from routes.paging import BrokerQuery, paged
from routes.refusals import BROKER, QUEUE

api = Api("exchanges")


class ExchangesQuery(BrokerQuery):
    """Parameters of the list of exchanges."""

    sort: Literal["exchange", "type", "publishInRate", "publishOutRate"] = "exchange"


class DeleteExchange(Model):
    """The exchange to delete, and a condition."""

    exchange: NewName = Field(examples=["events"])
    if_unused: bool = Field(False, description="delete only an exchange without bindings; otherwise answer 412")


class BindingsQuery(BrokerQuery):
    """Parameters of the list of bindings. `name` matches the exchange, the destination or the routing key."""

    sort: Literal["exchange", "queueName", "destinationExchange", "routingKey"] = "exchange"
    exchange: ExchangeName | None = Field(None, description="only bindings from this exchange")
    queue_name: QueueName | None = Field(None, description="only bindings to this queue")


_ENDS = ("404 exchange_not_found", "404 queue_not_found")


@api.post(
    "/createExchange",
    role="operator",
    idempotent=True,
    statuses=(200, 201),
    refuses=("400 refused_by_broker", "409 exchange_exists_otherwise", *BROKER),
)
def create_exchange(body: ExchangeSpec) -> Reply[ExchangeDone]:
    """Create an exchange. If it already exists with these settings, the answer is 200; with other settings, the answer
    is 409 and names the differences."""
    if services.exchanges.create(body):
        return done("Exchange has been created successfully.", status=201, exchange=body.exchange)
    return done("The exchange already exists with these settings.", exchange=body.exchange)


@api.get("/getExchanges", role="viewer", refuses=BROKER)
def get_exchanges(query: ExchangesQuery) -> Reply[list[ExchangeDetails]]:
    """List the exchanges, including RabbitMQ's own."""
    return paged(services.exchanges.page(query.selection(), internal=query.include_internal), query)


@api.delete(
    "/deleteExchange",
    role="operator",
    refuses=("400 refused_by_broker", "404 exchange_not_found", "412 exchange_in_use", *BROKER),
)
def delete_exchange(body: DeleteExchange) -> Reply[ExchangeDone]:
    """Delete an exchange and its bindings. The queues stay."""
    services.exchanges.delete(body.exchange, if_unused=body.if_unused)
    return done("Exchange has been deleted successfully.", exchange=body.exchange)


@api.post(
    "/bindQueue",
    role="operator",
    idempotent=True,
    statuses=(200, 201),
    refuses=("400 refused_by_broker", *_ENDS, *QUEUE),
)
def bind_queue(body: NewBinding) -> Reply[Done]:
    """Bind a queue or an exchange to an exchange. If the binding already exists, the answer is 200."""
    if services.exchanges.bind(body):
        return done("Binding has been created successfully.", status=201)
    return done("The binding already exists.")


@api.post("/unbindQueue", role="operator", refuses=("404 binding_not_found", *_ENDS, *QUEUE))
def unbind_queue(body: BindingSpec) -> Reply[Done]:
    """Remove the binding with exactly this routing key and these arguments."""
    services.exchanges.unbind(body)
    return done("Binding has been removed successfully.")


@api.get("/getBindings", role="viewer", refuses=QUEUE)
def get_bindings(query: BindingsQuery) -> Reply[list[BindingDetails]]:
    """List the bindings, except those of the default exchange."""
    page = services.exchanges.bindings(
        query.selection(), query.exchange, query.queue_name, internal=query.include_internal
    )
    return paged(page, query)
