"""What becomes of a message that a consumer's filter does not admit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from domain.model import Model
from domain.names import RoutingKey, ShortString, not_own
from domain.sentences import dotted, faults, joined


class Destination(Model):
    """An exchange, empty for the default one, and a routing key; with the default exchange it is a queue's name."""

    exchange: ShortString = ""
    routing_key: RoutingKey

    @property
    def queue(self) -> str | None:
        """The queue that it is; None for an exchange, which may lead to any."""
        return None if self.exchange else self.routing_key


class Forward(Model):
    """Publish the message there, and ack it once the broker has confirmed that."""

    forward: Destination


def _otherwise(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
    try:
        if isinstance(value, dict) and isinstance(value.get("forward"), dict):
            return _forward(value)
        return validated(value)
    except ValidationError:
        shapes = """'deadLetter', 'discard' or {"forward": {"exchange": "…", "routingKey": "…"}}"""
        raise ValueError(f"must be {shapes}") from None


def _forward(value: dict[str, Any]) -> Forward:
    try:
        forward = Forward.model_validate(value)
    except ValidationError as exc:
        raise ValueError(joined([(dotted(place), what) for place, what in faults(Forward, exc)[0]])) from None
    try:
        not_own(forward.forward.exchange)
    except ValueError as exc:
        raise ValueError(f"forward.exchange: {exc}") from None
    if not forward.forward.exchange and not forward.forward.routing_key:
        raise ValueError("forward.routingKey: must be the name of a queue, because there is no exchange")
    return forward


Otherwise = Annotated[Literal["deadLetter", "discard"] | Forward, WrapValidator(_otherwise)]
