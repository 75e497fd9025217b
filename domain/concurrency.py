"""The number of requests in flight to a target."""

from __future__ import annotations

from pydantic import Field

from domain.model import Model


class Concurrency(Model):
    """Limit of the requests in flight over all workers, at least one for each worker. After the circuit breaker closes,
    the limit begins at one request and doubles."""

    max: int = Field(ge=1, le=2000, description="requests in flight")
    adaptive: bool = Field(
        False,
        description="reduce the limit when the target is slower than usual, answers 429 or 503, or does not answer in "
        "time; raise it again, up to max, when the target keeps up",
    )
