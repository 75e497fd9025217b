"""Exchanges and their bindings. The broker is the only one to know what there is."""

from __future__ import annotations

from domain.details import BindingDetails, ExchangeDetails, Page
from domain.exchange import BindingSpec, ExchangeSpec
from domain.selection import Selection
from gateway.management import BindingGateway, ExchangeGateway
from services.selecting import selected


class Exchanges:
    """Thread-safe. Every method raises BrokerUnavailable when RabbitMQ cannot be asked."""

    def __init__(self, exchanges: ExchangeGateway, bindings: BindingGateway) -> None:
        self._exchanges = exchanges
        self._bindings = bindings

    def create(self, spec: ExchangeSpec) -> bool:
        """Whether the exchange is new. Raises Conflict when it exists otherwise, saying in what."""
        return self._exchanges.declare(spec)

    def page(self, wanted: Selection) -> Page[ExchangeDetails]:
        """The exchanges that are asked for. Raises Invalid for a pattern that is no regular expression."""
        return self._exchanges.page(wanted)

    def delete(self, name: str, *, if_unused: bool = False) -> None:
        """Delete the exchange and its bindings. Raises NotFound, and PreconditionFailed when it has bindings and that
        was ruled out."""
        self._exchanges.delete(name, if_unused=if_unused)

    def bind(self, spec: BindingSpec) -> bool:
        """Whether the binding is new. Raises NotFound when the exchange or the destination is missing."""
        return self._bindings.bind(spec)

    def unbind(self, spec: BindingSpec) -> None:
        """Remove just this binding. Raises NotFound."""
        self._bindings.unbind(spec)

    def bindings(
        self, wanted: Selection, exchange: str | None = None, queue_name: str | None = None
    ) -> Page[BindingDetails]:
        """The bindings that are asked for, by the names of both ends or the routing key: of all, of those of an
        exchange, of a queue, or between the two. Raises Invalid for a pattern that is no regular expression."""
        return selected(
            self._bindings.all(exchange, queue_name),
            wanted,
            lambda one: (one.exchange, one.queue_name, one.destination_exchange, one.routing_key),
        )
