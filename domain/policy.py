"""Policies: settings of RabbitMQ for all queues and exchanges whose names match
(https://www.rabbitmq.com/docs/parameters#policies)."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from domain.field_table import Arguments
from domain.model import Model
from domain.names import OWN, NewName, ShortString, not_own
from domain.pattern import Pattern

GUARD = f"^(?!{re.escape(OWN)})"
"""The beginning of a pattern that excludes the service's own queues and exchanges. RE2 does not know it."""
OWN_NAMES = [OWN + name for name in ("due", "overdue", "orphans")] + [
    f"{OWN}{kind}.{level}" for kind in ("delay", "scheduled") for level in range(29)
]
"""The queues and exchanges of the service (gateway/amqp/topology.py)."""
_NAMES = ("dead-letter-exchange", "dead-letter-routing-key", "alternate-exchange")
_HARMLESS = ("ha-", "queue-", "federation-", "initial-", "stream-")
"""Prefixes of settings about nodes and storage, which change no message."""


class PolicySpec(Model):
    """Body of `POST /createPolicy`. Of the policies that match a queue or exchange, the one with the highest
    `priority` applies."""

    name: NewName = Field(examples=["orders-ttl"])
    pattern: ShortString = Field(
        examples=["^orders\\."], description="regular expression that matches any part of a name"
    )
    apply_to: Literal["all", "queues", "classic_queues", "quorum_queues", "exchanges"] = Field(
        "all", description="`classic_queues` and `quorum_queues` need RabbitMQ 3.12"
    )
    definition: Arguments = Field(
        min_length=1, examples=[{"message-ttl": 60000}], description="the settings, with RabbitMQ's names"
    )
    priority: int = Field(0, ge=-(2**31), lt=2**31)

    @field_validator("definition")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in _NAMES:
            try:
                not_own(str(value.get(name, "")))
            except ValueError as exc:
                raise ValueError(f"{name} {exc}") from None
        return value

    @model_validator(mode="after")
    def _not_of_the_service(self) -> Self:
        """Refuse a policy that could drop or delay what waits in the service's own queues."""
        if all(name.startswith(_HARMLESS) for name in self.definition):
            return self
        if self.pattern.startswith(GUARD) and "|" not in self.pattern:
            return self
        try:
            pattern = Pattern(self.pattern)
        except ValueError as exc:
            raise ValueError(f"pattern {exc}. The only lookaround allowed is {GUARD} at its start") from None
        if matched := next((name for name in OWN_NAMES if pattern.found_in(name)), None):
            raise ValueError(
                f"pattern matches {matched!r}, a queue of the service. Start the pattern with {GUARD}, and do not use |"
            )
        return self
