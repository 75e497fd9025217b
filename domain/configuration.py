"""The configuration of an installation as one document: what GET /exportConfiguration returns and POST
/applyConfiguration establishes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from domain.api_key import CreateApiKey
from domain.consumer import ROUTES, ConsumerSpec
from domain.exchange import ExchangeSpec, NewBinding
from domain.model import Model
from domain.policy import PolicySpec
from domain.queue import QueueSpec
from domain.route import MAX_ROUTES, named
from domain.router import Route, stored
from domain.user import NewPassword, Role, Username

Label = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$", examples=["shop"])]
_REFERENCE = re.compile(r"\$\{(env|file):")
_CREDENTIALS = ("url", "headers", "auth", "tls", "signingSecret")


def _resolved(value: Any, field: str = "") -> None:
    """Raise ValueError for a reference. The service must not read its own environment or files for a client, and must
    not take the text of a reference for a secret."""
    if _REFERENCE.search(json.dumps(value)):
        raise ValueError(
            f"{field} must not contain a reference such as ${{env:NAME}}: `flask rmq apply` resolves references on "
            "your machine, the service does not. Send the value itself".lstrip()
        )


class ConfiguredRoute(Route):
    """A route of a consumer."""

    signing_secret: SecretStr | None = None  # type: ignore[assignment]  # may be the mask


class ConfiguredConsumer(ConsumerSpec):
    """A consumer. A masked value keeps the current one."""

    signing_secret: SecretStr | None = None  # type: ignore[assignment]  # may be the mask
    paused: bool | None = Field(
        None,
        description="whether the consumer itself is paused, not those of its routes; if omitted, this does not change",
    )

    routes: Annotated[tuple[ConfiguredRoute, ...], AfterValidator(named)] = Field(
        (), max_length=MAX_ROUTES, strict=False, description=ROUTES
    )

    @model_validator(mode="after")
    def _references(self) -> Self:
        fields = stored(self)
        for place, target in (("", fields), *((f"routes.{one['name']}.", one) for one in fields["routes"])):
            for field in _CREDENTIALS:
                _resolved(target[field], f"{place}{field}")
        return self

    def definition(self) -> dict[str, Any]:
        """Return the stored form of the consumer with its routes, in which masked values are still masked."""
        return {name: value for name, value in stored(self).items() if name != "paused"}


class ConfiguredApiKey(CreateApiKey):
    """An API key, without its secret."""

    @field_validator("expires_at")
    @classmethod
    def _as_stored(cls, value: datetime | None) -> datetime | None:
        return value and value.replace(microsecond=value.microsecond // 1000 * 1000)  # MongoDB's precision


class ConfiguredUser(Model):
    """A user. The password is for a new user; that of an existing user stays."""

    username: Username
    role: Role
    disabled: bool | None = Field(None, description="whether the user is disabled; if omitted, this does not change")
    password: NewPassword | None = None

    @field_validator("password")
    @classmethod
    def _references(cls, value: SecretStr | None) -> SecretStr | None:
        _resolved(value.get_secret_value() if value else "")
        return value


def _section(description: str) -> Any:
    return Field((), strict=False, max_length=10_000, description=description)


class Configuration(Model):
    """Objects of RabbitMQ and of the service. `label` marks all of them as those of this configuration."""

    label: Label | None = None
    exchanges: tuple[ExchangeSpec, ...] = _section("as in POST /createExchange")
    queues: tuple[QueueSpec, ...] = _section("as in POST /createQueue")
    bindings: tuple[NewBinding, ...] = _section("as in POST /bindQueue")
    policies: tuple[PolicySpec, ...] = _section("as in POST /createPolicy")
    consumers: tuple[ConfiguredConsumer, ...] = _section("as in POST /createConsumer, and `paused`")
    api_keys: tuple[ConfiguredApiKey, ...] = _section("as in POST /createApiKey")
    users: tuple[ConfiguredUser, ...] = _section("as in POST /createUser, and `disabled`")

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for kind in KINDS:
            keys = set()
            for entry in self.of(kind):
                if (key := kind.key(entry)) in keys:
                    raise ValueError(f"{kind.section} lists {kind.title(entry)} twice")
                keys.add(key)
        return self

    def of(self, kind: Kind) -> tuple[Any, ...]:
        """Return the entries of a kind."""
        entries: tuple[Any, ...] = getattr(self, kind.section)
        return entries


class Kind(NamedTuple):
    """A kind of objects: its section in the document, the key that identifies an object of it, and the name for
    people."""

    name: str
    section: str
    key: Callable[[Any], str]
    title: Callable[[Any], str]


def _binding_key(one: NewBinding) -> str:
    return json.dumps([one.exchange, one.queue_name, one.destination_exchange, one.routing_key, one.arguments],
                      sort_keys=True)  # fmt: skip


def _binding_title(one: NewBinding) -> str:
    arguments = f" {json.dumps(one.arguments, ensure_ascii=False)}" if one.arguments else ""
    return f"{one.exchange} → {one.destination} by {one.routing_key!r}{arguments}"


def _named(name: str, section: str, key: Callable[[Any], str]) -> Kind:
    return Kind(name, section, key, key)


KINDS = (
    _named("policy", "policies", lambda one: one.name),
    _named("exchange", "exchanges", lambda one: one.exchange),
    _named("queue", "queues", lambda one: one.queue_name),
    Kind("binding", "bindings", _binding_key, _binding_title),
    _named("user", "users", lambda one: one.username),
    _named("consumer", "consumers", lambda one: one.name or one.queue_name),
    _named("apiKey", "api_keys", lambda one: one.name),
)
"""In the order of creation, which is the reverse of that of deletion: a policy applies to a queue from its first
message on, and a consumer is deleted before its queue."""


class Change(Model):
    """A field that changes. Secrets are masked."""

    field: str
    from_: Any = Field(alias="from")
    to: Any
