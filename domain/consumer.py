"""A consumer: one queue, one target, and how deliveries between them go. Stored as it was asked for."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator

from domain.model import Model
from domain.names import QueueName

Seconds = Annotated[float, Field(strict=False, gt=0)]


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError(f"is not a URL: {exc}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("must start with http:// or https://")
    if not host:
        raise ValueError("must name a host, as in https://example.com/path")
    if parts.fragment:
        raise ValueError("must not have a #fragment: it is never sent")
    if any(char.isspace() or ord(char) < 0x20 for char in value):
        raise ValueError("must not contain spaces or control characters; percent-encode them")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url), Field(max_length=2048, examples=["https://erp.example/orders"])]


class RetryPolicy(Model):
    """`schedule`: seconds before each further attempt, so its length is the number of retries."""

    schedule: tuple[Annotated[float, Field(strict=False, ge=1, le=86400)], ...] = Field(
        (5, 30, 120, 600, 1800, 7200), max_length=50, strict=False
    )
    jitter: float = Field(0.2, strict=False, ge=0, le=0.5, description="each delay is spread by ± this share")


class OutcomeRules(Model):
    """Which answers mean what: statuses (`404`), classes (`5xx`), error classes (`timeout`), or `network` for all of
    those. What no rule names suspends."""

    success: tuple[str, ...] = Field(("2xx",), strict=False)
    retry: tuple[str, ...] = Field(("408", "425", "429", "5xx", "network"), strict=False)
    reject: tuple[str, ...] = Field(("400", "413", "415", "422"), strict=False)
    suspend: tuple[str, ...] = Field((), strict=False)


class ByHeader(Model):
    """Messages with the same value of this header keep their order."""

    header: str = Field(min_length=1, max_length=255)


class ByJsonPath(Model):
    """Messages with the same value at this place of their JSON body keep their order: names and indexes with dots
    between them, as in `customer.id` or `items.0.sku`."""

    json_path: str = Field(min_length=1, max_length=255, pattern=r"^[^.]+(\.[^.]+)*$")


Ordering = Literal["none", "queue"] | ByHeader | ByJsonPath
"""`none`: as fast as it goes; `queue`: strictly one after the other; by key: in order under each key."""


class RateLimit(Model):
    """Requests over all workers together: `perSecond` on the long run, `burst` at once."""

    per_second: float = Field(strict=False, gt=0, le=100_000)
    burst: int = Field(1, ge=1, le=100_000)


class BreakerPolicy(Model):
    """When to leave a target alone: after so many `failures` in a row, or when four fifths of the last hundred answers
    failed; for `openSeconds`, then one message tries."""

    failures: int = Field(20, ge=1, le=10_000)
    open_seconds: float = Field(30, strict=False, ge=1, le=3600)


class ConsumerSpec(Model):
    """What `POST /createConsumer` takes, and what a worker runs. Times are in seconds."""

    queue_name: QueueName
    url: HttpUrl
    name: str = Field("", max_length=255, description="unique; defaults to the queue's name")
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict, max_length=50)
    timeout: Seconds = Field(30, le=600)
    connect_timeout: Seconds = Field(5, le=60)
    prefetch: int = Field(64, ge=1, le=2000)
    retry: RetryPolicy = RetryPolicy()
    outcomes: OutcomeRules = OutcomeRules()
    ordering: Ordering = "none"
    rate_limit: RateLimit | None = None
    breaker: BreakerPolicy = BreakerPolicy()
    signing_secret: SecretStr | None = Field(None, description="whsec_… ; never shown again")

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, content in value.items():
            if not name or not all(char.isalnum() or char in "!#$%&'*+-.^_`|~" for char in name) or not name.isascii():
                raise ValueError(f"{name!r} is not a header name (RFC 9110 §5.1)")
            if any(ord(char) < 0x20 or ord(char) == 0x7F for char in content):
                raise ValueError(f"the value of {name!r} must not contain control characters")
            if name.lower() in _OURS or name.lower().startswith("webhook-"):
                raise ValueError(f"{name!r} is set by the service itself")
        return value

    def stored(self) -> dict[str, Any]:
        """The document for the registry, with the secret in the clear: gateway/ decides how it rests."""
        document = self.model_dump(by_alias=True, mode="json")
        if self.signing_secret:
            document["signingSecret"] = self.signing_secret.get_secret_value()
        return document


_OURS = {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer",
         "x-queue-name", "x-delivery-attempt", "x-correlation-id"}  # fmt: skip
"""Headers that HTTP framing or the delivery contract owns (docs: What the target gets)."""
