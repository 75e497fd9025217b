"""A consumer: one queue, one target URL, and the rules of delivery. Stored as the client wrote it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from domain.attempt_policy import AttemptPolicy, JsonPath
from domain.auth import Auth
from domain.batch import Batch
from domain.concurrency import Concurrency
from domain.filter_pattern import FilterPattern
from domain.header_names import ForwardedHeader, header_name
from domain.model import Model
from domain.names import QueueName
from domain.otherwise import Forward, Otherwise
from domain.outcome_rules import OutcomeRules
from domain.payload import Payload
from domain.route import MAX_ROUTES, RoutePattern, below, named, route_names
from domain.sentences import alternatives
from domain.signing_secret import SigningSecret
from domain.tls import TargetTls
from domain.url_template import UrlTemplate

Seconds = Annotated[float, Field(gt=0)]
Url = Annotated[UrlTemplate, Field(examples=["https://erp.example/orders"])]


class RetryPolicy(Model):
    """`schedule` lists the seconds before each retry, so its length is the number of retries. Each delay is rounded up
    to whole seconds, a long one by up to an eighth. A pause that the target requests (429, or 503 with Retry-After) is
    not charged; `giveUpAfter` limits it."""

    schedule: tuple[Annotated[float, Field(ge=1, le=86400)], ...] = Field(
        (5, 30, 120, 600, 1800, 7200), max_length=50, strict=False, description="seconds before each retry"
    )
    jitter: float = Field(0.2, ge=0, le=0.5, description="each delay varies at random by up to ± this share")
    give_up_after: float | None = Field(
        None,
        gt=0,
        description="maximum age of a message in seconds: a failure after that dead-letters it as `expired`, and a "
        "retry that would be due later is made at that age. The age counts from the publication (`timestamp`, else the "
        "first failure), the scheduled time or the replay, whichever is latest.",
    )


class ByHeader(Model):
    """Messages with the same value of this header keep their order."""

    header: str = Field(min_length=1, max_length=255)


class ByJsonPath(Model):
    """Messages with the same value at this path in their JSON body keep their order. A path is field names and array
    indexes, separated by dots: `customer.id`, `items.0.sku`."""

    json_path: JsonPath


Ordering = Annotated[
    Literal["none", "queue"] | ByHeader | ByJsonPath,
    alternatives("""'none', 'queue', {"header": "x-…"} or {"jsonPath": "a.b"}"""),
]
"""`none`: in any order, as many at once as `prefetch` allows; `queue`: one after another; by header or JSON path:
messages with the same value one after another."""


class RateLimit(Model):
    """Limit of requests over all workers: `perSecond` on average, `burst` at once."""

    per_second: float = Field(gt=0, le=100_000, description="requests per second")
    burst: int = Field(1, ge=1, le=100_000, description="requests at once")


class BreakerPolicy(Model):
    """The circuit breaker opens after this number of `failures` in a row, or when 80 of the last 100 answers failed.
    After `openSeconds` it is half open: one message probes the target."""

    failures: int = Field(20, ge=1, le=10_000, description="failures in a row that open the circuit breaker")
    open_seconds: float = Field(30, ge=1, le=3600, description="seconds until one message probes the target")


ROUTES = (
    "further targets, each with a pattern and a separate queue; the first route that matches gets the message, and "
    "url gets the messages that match none"
)
"""The description of `routes`, which the models of requests and answers repeat."""


class TargetSpec(Model):
    """A target, and the rules of delivery to it. Times are in seconds."""

    url: Url
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict, max_length=50, description="headers of every request")
    timeout: Seconds = Field(30, le=600, description="seconds for a request and its answer")
    connect_timeout: Seconds = Field(5, le=60, description="seconds to connect to the target")
    prefetch: int = Field(64, ge=1, le=2000, description="messages in flight on each worker")
    retry: RetryPolicy = RetryPolicy()
    outcomes: OutcomeRules = OutcomeRules()
    ordering: Ordering = "none"
    rate_limit: RateLimit | None = None
    concurrency: Concurrency | None = None
    breaker: BreakerPolicy = BreakerPolicy()
    payload: Payload = Field(
        "raw",
        description="raw: the body unchanged; envelope: a JSON object with the body, properties and headers; "
        "cloudevents: the body unchanged, with CloudEvents attributes in ce- headers; or an object with a template",
    )
    forward_headers: tuple[ForwardedHeader, ...] = Field(
        (), max_length=50, strict=False, description="headers of the message (x-…) to send to the target"
    )
    reply: bool = Field(False, description="publish the target's answer to the message's replyTo")
    batch: Batch | None = None
    attempt_log: AttemptPolicy = AttemptPolicy()
    auth: Auth | None = Field(None, validate_default=True)
    tls: TargetTls | None = None
    signing_secret: SigningSecret | None = Field(
        None, description="whsec_…; write-only. After you replace it, requests carry both signatures for 24 hours."
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
        in_url = bool(getattr(info.data.get("url"), "user_info", ""))  # url is missing if it is invalid or the default
        if (sets == "authorization") + ("authorization" in own) + in_url > 1:
            raise ValueError("credentials are given twice: use only one of auth, headers.Authorization and the URL")
        if sets in own:
            raise ValueError(f"sets {sets!r}, which headers sets too: use only one of them")
        return value

    @field_validator("batch")
    @classmethod
    def _of_many(cls, value: Batch | None, info: ValidationInfo) -> Batch | None:
        """Refuse with `batch` what only a request with one message can have."""
        if value is None:
            return None
        url = info.data.get("url")
        if isinstance(url, UrlTemplate) and not url.fixed:
            raise ValueError("needs a url without {…}, because a request has several messages")
        if info.data.get("payload") == "cloudevents" and value.format != "cloudevents":
            raise ValueError("needs format cloudevents for payload cloudevents")
        if info.data.get("reply"):
            raise ValueError("cannot be combined with reply, because one answer is for several messages")
        if info.data.get("forward_headers") and value.format != "cloudevents":
            raise ValueError(
                "cannot be combined with forwardHeaders, except with format cloudevents; "
                "use payload envelope, which has each message's headers"
            )
        return value

    @property
    def shares_limits(self) -> bool:
        """Whether there are limits of which each worker has a share."""
        return self.rate_limit is not None or self.concurrency is not None

    @property
    def most_unsettled(self) -> int:
        """The prefetch to consume with: room for a batch in flight and for the next one."""
        return max(self.prefetch, 2 * self.batch.max_messages) if self.batch else self.prefetch

    @field_validator("tls")
    @classmethod
    def _has_tls(cls, value: TargetTls | None, info: ValidationInfo) -> TargetTls | None:
        url = info.data.get("url")
        if value and isinstance(url, UrlTemplate) and url.target.scheme != "https":
            raise ValueError("needs a url that starts with https://")
        return value

    def stored(self) -> dict[str, Any]:
        """Return the document for the registry, with secrets in plain text; gateway/mongo encrypts them."""
        document = self.model_dump(by_alias=True, mode="json")
        if self.signing_secret:
            document["signingSecret"] = self.signing_secret.get_secret_value()
        if self.auth:
            document["auth"] = self.auth.revealed()
        if self.tls:
            document["tls"] = self.tls.revealed()
        return document


class _Identity(Model):
    """The fields of a consumer that precede those of its target."""

    queue_name: QueueName = Field(examples=["orders"])
    name: str = Field("", max_length=255, examples=["orders-erp"], description="unique; defaults to the queue's name")

    @property
    def effective_name(self) -> str:
        """Return the name, which is by default that of the queue."""
        return self.name or self.queue_name

    @property
    def who(self) -> dict[str, str]:
        """Return the fields of log lines that name the consumer."""
        return {"consumer": self.effective_name, "queue": self.queue_name}


class ConsumerSpec(TargetSpec, _Identity):
    """The definition of a consumer. Times are in seconds."""

    filter: FilterPattern | None = Field(
        None,
        description='the messages to send, for example {"body": {"total": {"$gte": 100}}}: '
        "a pattern over body (JSON), headers, properties and routingKey",
    )
    otherwise: Otherwise | None = Field(
        None,
        validate_default=True,
        description='required with filter: what to do with the other messages; deadLetter, discard, or {"forward": '
        '{"exchange": "…", "routingKey": "…"}}',
    )
    routes: Annotated[tuple[RoutePattern, ...], AfterValidator(named)] = Field(
        (), max_length=MAX_ROUTES, strict=False, description=ROUTES
    )

    @field_validator("otherwise")
    @classmethod
    def _with_filter(cls, value: Otherwise | None, info: ValidationInfo) -> Otherwise | None:
        if "filter" not in info.data:  # the filter is invalid, which is reported as a separate error
            return value
        if (value is None) != (info.data["filter"] is None):
            raise ValueError(
                'is required with filter: "deadLetter", "discard" or {"forward": {"exchange": "…", "routingKey": "…"}}'
                if value is None
                else "needs filter, because it applies to messages that do not match the filter"
            )
        if isinstance(value, Forward) and value.forward.queue == info.data.get("queue_name"):
            raise ValueError("must not forward to the consumer's own queue")
        return value

    @property
    def route_queues(self) -> list[str]:
        """The queues of its routes, with that of the default route; none without routes."""
        return [below(self.queue_name, name) for name in route_names(self.routes)]
