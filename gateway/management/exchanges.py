"""Exchanges through the management API."""

from __future__ import annotations

from typing import Any

from domain.details import ExchangeDetails, Page
from domain.errors import NotFound
from domain.exchange import EVENTS_EXCHANGE, ExchangeSpec
from domain.names import EVENTS
from domain.selection import Selection
from gateway.management.client import ManagementClient
from gateway.management.pages import read_page

_COLUMNS = (
    "name,type,durable,auto_delete,internal,arguments,"
    "message_stats.publish_in_details,message_stats.publish_out_details"
)

_SORT_COLUMNS = {
    "type": "type",
    "publishInRate": "message_stats.publish_in_details.rate",
    "publishOutRate": "message_stats.publish_out_details.rate",
}


class ExchangeGateway:
    """The exchanges of one virtual host. Raises what ManagementClient.call raises."""

    def __init__(self, client: ManagementClient) -> None:
        self._client = client

    def declare(self, spec: ExchangeSpec) -> bool:
        """Create the exchange; return False if it exists with these properties. Raises Conflict if they differ."""
        wanted = {
            "type": spec.type,
            "durable": spec.durable,
            "auto_delete": spec.auto_delete,
            "internal": spec.internal,
            "arguments": spec.amqp_arguments(),
        }
        return self._call("PUT", spec.exchange, body=wanted)[0] == 201

    def declare_events(self) -> None:
        """Declare the exchange of the service's events, unless an exchange of that name exists: this needs no
        permission then, and an operator's exchange may have other properties."""
        try:
            self.get(EVENTS)
        except NotFound:
            self.declare(EVENTS_EXCHANGE)

    def page(self, wanted: Selection) -> Page[ExchangeDetails]:
        """Return one page of exchanges. A regular expression must be the service's own (see read_page)."""
        page = read_page(self._client, "exchanges", wanted, _COLUMNS, _SORT_COLUMNS)
        return Page([_details(one) for one in page.items], page.total)

    def get(self, name: str) -> ExchangeDetails:
        """Return one exchange. Raises NotFound."""
        return _details(self._call("GET", name)[1])

    def delete(self, name: str, *, if_unused: bool = False) -> None:
        """Delete the exchange with its bindings. Raises NotFound, and PreconditionFailed if `if_unused` and it has
        bindings."""
        self._call("DELETE", name, query={"if-unused": "true"} if if_unused else {})

    def _call(
        self, method: str, name: str, *, body: Any = None, query: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        path = ("exchanges", self._client.vhost, name)
        return self._client.call(method, *path, subject="exchange", name=name, body=body, query=query)


def _details(exchange: dict[str, Any]) -> ExchangeDetails:
    stats = exchange.get("message_stats") or {}
    return ExchangeDetails(
        exchange=exchange["name"],
        type=exchange["type"],
        durable=exchange["durable"],
        auto_delete=exchange["auto_delete"],
        internal=exchange["internal"],
        arguments=exchange.get("arguments") or {},
        publish_in_rate=float(stats.get("publish_in_details", {}).get("rate", 0)),
        publish_out_rate=float(stats.get("publish_out_details", {}).get("rate", 0)),
    )
