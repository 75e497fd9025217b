"""Exchanges and their bindings. Only the broker stores them."""

from __future__ import annotations

from domain.audit import State, state_of
from domain.details import BindingDetails, ExchangeDetails, Page
from domain.exchange import BindingSpec, ExchangeSpec
from domain.names import EVENTS, OWN
from domain.selection import Selection
from gateway.management import BindingGateway, ExchangeGateway
from services.selecting import every, selected, visible


class Exchanges:
    """Thread-safe. Every method raises BrokerUnavailable when RabbitMQ is down."""

    def __init__(self, exchanges: ExchangeGateway, bindings: BindingGateway) -> None:
        self._exchanges = exchanges
        self._bindings = bindings

    def create(self, spec: ExchangeSpec) -> bool:
        """Declare an exchange. Return whether it is new. Raises Conflict, with the differences, when it exists with
        other settings."""
        return self._exchanges.declare(spec)

    def page(self, wanted: Selection, *, internal: bool = False) -> Page[ExchangeDetails]:
        """Return the wanted page of exchanges, with `internal` including the service's own. Raises what `selected`
        raises."""
        if not wanted.regex:
            return self._exchanges.page(visible(wanted, internal))
        found = list(every(self._exchanges.page, visible(Selection(), internal)))
        return selected(found, wanted, lambda one: (one.exchange,))

    def state_of(self, name: str) -> State:
        """Return an exchange for the audit log. Raises NotFound."""
        return state_of(self._exchanges.get(name), "type durable auto_delete internal arguments")

    def delete(self, name: str, *, if_unused: bool = False) -> None:
        """Delete an exchange and its bindings. Raises NotFound, and with `if_unused` PreconditionFailed when it has
        bindings."""
        self._exchanges.delete(name, if_unused=if_unused)

    def bind(self, spec: BindingSpec) -> bool:
        """Create a binding. Return whether it is new. Raises NotFound when the exchange or the destination is
        missing. The exchange of the service's events is declared if it is missing."""
        if spec.exchange == EVENTS:
            self._exchanges.declare_events()
        return self._bindings.bind(spec)

    def unbind(self, spec: BindingSpec) -> None:
        """Remove the binding with exactly these properties. Raises NotFound."""
        self._bindings.unbind(spec)

    def bindings(
        self, wanted: Selection, exchange: str | None = None, queue_name: str | None = None, *, internal: bool = False
    ) -> Page[BindingDetails]:
        """Return the wanted page of bindings, filtered by exchange, destination or routing key. `exchange` and
        `queue_name` restrict the list to their bindings; `internal` includes those of the service's own exchanges.
        Raises what `selected` raises."""
        found = self._bindings.all(exchange, queue_name)
        return selected(
            [one for one in found if internal or not one.exchange.startswith(OWN)],
            wanted,
            lambda one: (one.exchange, one.queue_name, one.destination_exchange, one.routing_key),
        )
