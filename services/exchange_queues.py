"""Declares and binds the queue of a consumer that was created for an exchange."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError

from domain.errors import Conflict, Invalid
from domain.exchange import BindingSpec
from domain.names import EVENTS
from domain.queue import QueueSpec
from domain.sentences import field_faults
from gateway.management import BindingGateway, ExchangeGateway, QueueGateway


class ExchangeQueues:
    """Thread-safe."""

    def __init__(self, exchanges: ExchangeGateway, queues: QueueGateway, bindings: BindingGateway) -> None:
        self._exchanges, self._queues, self._bindings = exchanges, queues, bindings

    def declare(self, queue_name: str, exchange: str, routing_key: str) -> None:
        """Declare the durable queue and its binding unless they exist; an existing queue is used as it is. If this
        fails, the same call completes it. Raises NotFound when the exchange does not exist, Invalid for a name that no
        queue may have, and BrokerUnavailable. The exchange of the service's events is declared if it is missing."""
        if exchange == EVENTS:
            self._exchanges.declare_events()
        else:
            self._exchanges.get(exchange)
        try:
            spec = QueueSpec(queue_name=queue_name)
        except ValidationError as exc:
            sentence = field_faults(QueueSpec, exc)[0][1]
            raise Invalid(f"exchange: the name of its queue {sentence}.", fields=[("exchange", sentence)]) from None
        with suppress(Conflict):  # it exists with other arguments
            self._queues.declare(spec)
        self._bindings.bind(BindingSpec(exchange=exchange, queue_name=queue_name, routing_key=routing_key))
