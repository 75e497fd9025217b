"""How much is kept of a consumer's attempts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from domain.model import Model

JsonPath = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^.]+(\.[^.]+)*$")]
"""Field names and array indexes, separated by dots: `customer.id`, `items.0.sku`."""


class AttemptPolicy(Model):
    """`successes` says which successes the attempt log keeps; it has all failures. `bodies` says how much the log and
    dead letters keep of the first 4 KiB of an answer to a failed attempt: all, JSON with the values at the paths
    `redact` masked, or nothing."""

    successes: Literal["sampled", "all"] = "sampled"
    bodies: Literal["full", "redacted", "none"] = "full"
    redact: tuple[JsonPath, ...] = Field((), max_length=50, strict=False)
