"""Exchanges and bindings: POST /createExchange, GET /getExchanges, DELETE /deleteExchange, POST /bindQueue,
POST /unbindQueue, GET /getBindings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.details import BindingDetails, ExchangeDetails
from domain.exchange import BindingSpec, ExchangeSpec, NewBinding
from domain.model import Model
from domain.names import ExchangeName, NewName, QueueName
from routes.answers import Done, ExchangeDone
from routes.api import Api, Reply, done, services
from routes.paging import NamedQuery, paged
from routes.scope import NO_QUEUE

api = Api("exchanges")


class ExchangesQuery(NamedQuery):
    """Which exchanges."""

    sort: Literal["exchange", "type", "publishInRate", "publishOutRate"] = "exchange"


class DeleteExchange(Model):
    """Which exchange, and on what condition."""

    exchange: NewName = Field(examples=["events"])
    if_unused: bool = Field(False, description="only when it has no binding")


class BindingsQuery(NamedQuery):
    """Which bindings, by the names of their ends or the routing key."""

    sort: Literal["exchange", "queueName", "destinationExchange", "routingKey"] = "exchange"
    exchange: ExchangeName | None = Field(None, description="only those from this exchange")
    queue_name: QueueName | None = Field(None, description="only those to this queue")


@api.post(
    "/createExchange",
    role="operator",
    idempotent=True,
    touches=NO_QUEUE,
    body=ExchangeSpec,
    answer=ExchangeDone,
    status=(200, 201),
    refuses=(409,),
)
def create_exchange(body: ExchangeSpec) -> Reply:
    """Create an exchange. Asking again for the same changes nothing and answers 200; for another of the same name, 409
    says what differs."""
    if services.exchanges.create(body):
        return done("Exchange has been created successfully.", status=201, exchange=body.exchange)
    return done("Exchange exists already, just so.", exchange=body.exchange)


@api.get("/getExchanges", role="viewer", touches=NO_QUEUE, query=ExchangesQuery, answer=list[ExchangeDetails])
def get_exchanges(query: ExchangesQuery) -> Reply:
    """The exchanges by name, RabbitMQ's own among them."""
    return paged(services.exchanges.page(query.selection()), query)


@api.delete(
    "/deleteExchange", role="operator", touches=NO_QUEUE, body=DeleteExchange, answer=ExchangeDone, refuses=(404, 412)
)
def delete_exchange(body: DeleteExchange) -> Reply:
    """Delete an exchange and its bindings; the queues stay."""
    services.exchanges.delete(body.exchange, if_unused=body.if_unused)
    return done("Exchange has been deleted successfully.", exchange=body.exchange)


@api.post(
    "/bindQueue",
    role="operator",
    idempotent=True,
    touches=NO_QUEUE,
    body=NewBinding,
    answer=Done,
    status=(200, 201),
    refuses=(404,),
)
def bind_queue(body: NewBinding) -> Reply:
    """Let a queue, or another exchange, have the messages of an exchange that match. Asking again changes nothing."""
    if services.exchanges.bind(body):
        return done("Binding has been created successfully.", status=201)
    return done("Binding exists already, just so.")


@api.post("/unbindQueue", role="operator", touches=NO_QUEUE, body=BindingSpec, answer=Done, refuses=(404,))
def unbind_queue(body: BindingSpec) -> Reply:
    """Remove the binding that has just this routing key and these arguments."""
    services.exchanges.unbind(body)
    return done("Binding has been removed successfully.")


@api.get("/getBindings", role="viewer", touches=NO_QUEUE, query=BindingsQuery, answer=list[BindingDetails])
def get_bindings(query: BindingsQuery) -> Reply:
    """The bindings, but for those that every queue has to the default exchange."""
    page = services.exchanges.bindings(query.selection(), query.exchange, query.queue_name)
    return paged(page, query)
