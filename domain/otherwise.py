"""The `otherwise` of a consumer: how to settle a message that does not match its filter."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from domain.model import Model
from domain.names import RoutingKey, ShortString, not_own
from domain.sentences import alternatives, object_of


class Destination(Model):
    """An exchange and a routing key. The default exchange is empty; with it, the routing key is a queue's name."""

    exchange: ShortString = ""
    routing_key: RoutingKey

    @property
    def queue(self) -> str | None:
        """The queue; None if an exchange other than the default one routes the message."""
        return None if self.exchange else self.routing_key


class Forward(Model):
    """Publish the message to the destination, and ack it after the broker's confirm."""

    forward: Destination


def _forward(value: Any) -> Any:
    """Return the destination in an object, whose errors name its fields."""
    if not isinstance(value, dict) or not isinstance(value.get("forward"), dict):
        return value
    forward = object_of(Forward, value)
    try:
        not_own(forward.forward.exchange)
    except ValueError as exc:
        raise ValueError(f"forward.exchange: {exc}") from None
    if not forward.forward.exchange and not forward.forward.routing_key:
        raise ValueError("forward.routingKey: must be the name of a queue if exchange is empty")
    return forward


Otherwise = Annotated[
    Literal["deadLetter", "discard"] | Forward,
    alternatives("""'deadLetter', 'discard' or {"forward": {"exchange": "…", "routingKey": "…"}}"""),
    BeforeValidator(_forward),
]
