"""A consumer: one queue, one target, and how deliveries between them go. Stored as it was asked for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)

from domain.auth import Auth
from domain.header_names import ForwardedHeader, header_name
from domain.model import Model
from domain.names import QueueName
from domain.outcome_rules import OutcomeRules
from domain.signing_secret import SigningSecret
from domain.tls import TargetTls
from domain.url_template import UrlTemplate

Seconds = Annotated[float, Field(gt=0)]
Url = Annotated[UrlTemplate, Field(examples=["https://erp.example/orders"])]


class RetryPolicy(Model):
    """`schedule`: seconds before each further attempt, so its length is the number of retries. They are rounded up to
    whole seconds, long ones by up to an eighth. A pause that the target asks for (429, or 503 with Retry-After) costs
    no attempt; `giveUpAfter` bounds it."""

    schedule: tuple[Annotated[float, Field(ge=1, le=86400)], ...] = Field(
        (5, 30, 120, 600, 1800, 7200), max_length=50, strict=False
    )
    jitter: float = Field(0.2, ge=0, le=0.5, description="each delay is spread by ± this share")
    give_up_after: float | None = Field(
        None,
        gt=0,
        description="seconds since the message was published (its timestamp; else its first failure) after which a "
        "message that fails is dead-lettered, whatever attempts it has left",
    )


class ByHeader(Model):
    """Messages with the same value of this header keep their order."""

    header: str = Field(min_length=1, max_length=255)


class ByJsonPath(Model):
    """Messages with the same value at this place of their JSON body keep their order: names and indexes with dots
    between them, as in `customer.id` or `items.0.sku`."""

    json_path: str = Field(min_length=1, max_length=255, pattern=r"^[^.]+(\.[^.]+)*$")


def _ordering(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
    """Which of several shapes was meant cannot be told from one that is none of them."""
    try:
        return validated(value)
    except ValidationError:
        shapes = """'none', 'queue', {"header": "x-…"} or {"jsonPath": "a.b"}"""
        raise ValueError(f"must be {shapes}") from None


Ordering = Annotated[Literal["none", "queue"] | ByHeader | ByJsonPath, WrapValidator(_ordering)]
"""`none`: as fast as it goes; `queue`: strictly one after the other; by key: in order under each key."""


class RateLimit(Model):
    """Requests over all workers together: `perSecond` on the long run, `burst` at once."""

    per_second: float = Field(gt=0, le=100_000)
    burst: int = Field(1, ge=1, le=100_000)


class BreakerPolicy(Model):
    """When to leave a target alone: after so many `failures` in a row, or when four fifths of the last hundred answers
    failed; for `openSeconds`, then one message tries."""

    failures: int = Field(20, ge=1, le=10_000)
    open_seconds: float = Field(30, ge=1, le=3600)


class ConsumerSpec(Model):
    """What `POST /createConsumer` takes, and what a worker runs. Times are in seconds."""

    queue_name: QueueName = Field(examples=["orders"])
    url: Url
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
    payload: Literal["raw", "envelope", "cloudevents"] = Field(
        "raw", description="the body as it is; a JSON object with all that AMQP says of it; or CloudEvents' ce- headers"
    )
    forward_headers: tuple[ForwardedHeader, ...] = Field(
        (), max_length=50, strict=False, description="headers of the message, x-…, that the target gets"
    )
    reply: bool = Field(False, description="the target's answer goes to the message's replyTo")
    auth: Auth | None = Field(None, validate_default=True)
    tls: TargetTls | None = None
    signing_secret: SigningSecret | None = Field(
        None, description="whsec_… ; never shown again. One that is replaced holds for 24 hours more."
    )

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, content in value.items():
            header_name(name)
            if any(ord(char) < 0x20 or ord(char) == 0x7F for char in content):
                raise ValueError(f"the value of {name!r} must not contain control characters")
        return value

    @field_validator("outcomes")
    @classmethod
    def _outcomes(cls, value: OutcomeRules) -> OutcomeRules:
        _ = value.table
        return value

    @field_validator("auth")
    @classmethod
    def _one_login(cls, value: Auth | None, info: ValidationInfo) -> Auth | None:
        sets = value.sets_header.lower() if value else ""
        own = {name.lower() for name in info.data.get("headers", ())}
        in_url = bool(getattr(info.data.get("url"), "user_info", ""))  # no URL: it is wrong, or is to be the default
        if (sets == "authorization") + ("authorization" in own) + in_url > 1:
            raise ValueError("has credentials twice: give them either in auth, in headers, or in the URL")
        if sets in own:
            raise ValueError(f"sets {sets!r}, which headers has too: give it in one of them")
        return value

    @field_validator("tls")
    @classmethod
    def _has_tls(cls, value: TargetTls | None, info: ValidationInfo) -> TargetTls | None:
        url = info.data.get("url")
        if value and isinstance(url, UrlTemplate) and url.target.scheme != "https":
            raise ValueError("needs a url that begins with https://")
        return value

    def stored(self) -> dict[str, Any]:
        """The document for the registry, with the secrets in the clear: gateway/ decides how they rest."""
        document = self.model_dump(by_alias=True, mode="json")
        if self.signing_secret:
            document["signingSecret"] = self.signing_secret.get_secret_value()
        if self.auth:
            document["auth"] = self.auth.revealed()
        if self.tls:
            document["tls"] = self.tls.revealed()
        return document
