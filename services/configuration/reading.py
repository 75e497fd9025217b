"""Reads the whole installation: every object, as an entry of a configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from pydantic import ValidationError

from domain.api_key import ApiKey
from domain.configuration import KINDS, Configuration, ConfiguredApiKey, ConfiguredConsumer, ConfiguredUser
from domain.details import BindingDetails, ExchangeDetails, PolicyDetails, QueueDetails
from domain.exchange import ExchangeSpec, NewBinding
from domain.model import Model
from domain.names import OWN
from domain.policy import PolicySpec
from domain.queue import QueueSpec
from domain.registry import RegisteredConsumer
from domain.router import Route
from domain.selection import Selection
from domain.sentences import field_faults, joined
from domain.user import User
from gateway.mongo.labels import Labels
from services.api_keys import ApiKeys
from services.configuration.consumer_entries import InstalledConsumer
from services.configuration.planning import Installed
from services.consumer_state import shown
from services.consumers import Consumers
from services.exchanges import Exchanges
from services.policies import Policies
from services.queues import Queues
from services.selecting import every
from services.users import UserAccounts

_RABBITMQS = "amq."
"""Prefix of the exchanges that every virtual host has, and of queues whose names RabbitMQ chose for a client."""
_OTHERS = (_RABBITMQS, OWN)


_PAUSED_ROUTE = (
    "A configuration cannot pause one route of a consumer: this consumer delivers where the configuration creates it. "
    "Pause it there with POST /pauseConsumer."
)


class NotExported(Model):
    """An object that an export leaves out, and the reason."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Objects:
    """All objects of an installation by kind and key, and those that no configuration can hold."""

    installed: dict[str, dict[str, Installed]]
    others: list[NotExported]


@dataclass(frozen=True, slots=True)
class Resources:
    """The services of all resources that a configuration describes, and the labels."""

    queues: Queues
    exchanges: Exchanges
    policies: Policies
    consumers: Consumers
    users: UserAccounts
    api_keys: ApiKeys
    labels: Labels

    def read(self) -> Objects:
        """Return all objects, except those of RabbitMQ and of the service itself. Raises BrokerUnavailable and
        StoreUnavailable."""
        found = Objects({kind.name: {} for kind in KINDS}, [])
        sources = {
            "policy": _Source(self.policies.all, _policy),
            "exchange": _Source(lambda: every(self.exchanges.page, Selection()), _exchange),
            "queue": _Source(lambda: every(self.queues.page, Selection()), _queue),
            "binding": _Source(self._bindings, partial(_binding, found.installed)),
            "user": _Source(self.users.all, _user),
            "consumer": _Source(self._consumers, _consumer),
            "apiKey": _Source(self.api_keys.all, _api_key),
        }
        labels = self.labels.all()
        for kind in KINDS:  # exchanges and queues before their bindings
            for item in sources[kind.name].items():
                try:
                    one = sources[kind.name].entry(item)
                except ValidationError as exc:
                    reason = f"The API cannot create it: {joined(field_faults(Configuration, exc))}."
                    found.others.append(NotExported(kind=kind.name, name=_name(item), reason=reason))
                    continue
                if one is not None:
                    key = kind.key(one.entry)
                    hidden = one.not_exported or _hidden(getattr(item, "arguments", {}))
                    label = labels.get((kind.name, key))
                    found.installed[kind.name][key] = replace(one, label=label, not_exported=hidden)
        found.others.extend(
            NotExported(kind="consumer", name=name, reason=_PAUSED_ROUTE)
            for one in found.installed["consumer"].values()
            for name, route in (one.consumer.routes if one.consumer else {}).items()
            if route.state == "paused"
        )
        return found

    def _consumers(self) -> list[InstalledConsumer]:
        """Return all consumers. A route is a part of its router; without that, it is a consumer like the others."""
        found = {one.spec.name: one for one in self.consumers.all()}
        routes: dict[str, dict[str, RegisteredConsumer]] = {name: {} for name in found}
        for name, one in found.items():
            if one.router in routes:
                routes[one.router][name] = one
        return [InstalledConsumer(one, routes[name]) for name, one in found.items() if one.router not in routes]

    def _bindings(self) -> list[BindingDetails]:
        return self.exchanges.bindings(Selection(size=sys.maxsize)).items


class _Source(NamedTuple):
    """All objects of a kind, and the entry for one; None for an object that is not a part of any configuration."""

    items: Callable[[], Iterable[Any]]
    entry: Callable[[Any], Installed | None]


def _name(item: Any) -> str:
    item = getattr(item, "spec", item)  # of a consumer
    names = (getattr(item, name, None) for name in ("queue_name", "exchange", "name", "username"))
    return next(filter(None, names), "")


def _hidden(arguments: Mapping[str, Any]) -> str | None:
    """Return why the arguments of a queue, an exchange or a binding cannot be exported; None if they can."""
    hidden = [repr(name) for name, value in arguments.items() if _is_hidden(name) or _is_hidden(value)]
    if not hidden:
        return None
    return f"RabbitMQ's management API does not show the value of {', '.join(hidden)}: it is null, or not UTF-8."


def _is_hidden(value: Any) -> bool:
    """Return whether RabbitMQ shows a text in place of a value, or of one in it (rabbit_mgmt_format)."""
    match value:
        case dict():
            return any(_is_hidden(name) or _is_hidden(inner) for name, inner in value.items())
        case list():
            return any(map(_is_hidden, value))
        case str():
            return value == "undefined" or value.startswith("Not UTF-8, base64 is: ")
    return False


def _policy(policy: PolicyDetails) -> Installed:
    return Installed(PolicySpec.model_validate(policy.model_dump()))


def _exchange(one: ExchangeDetails) -> Installed | None:
    if not one.exchange or one.exchange.startswith(_OTHERS):
        return None
    entry = ExchangeSpec.of(one.exchange, one.type, one.durable, one.auto_delete, one.internal, one.arguments)
    return Installed(entry)


def _queue(one: QueueDetails) -> Installed | None:
    if one.exclusive or one.queue_name.startswith(_OTHERS):
        return None
    entry = QueueSpec.of(one.queue_name, one.type, one.durable, one.auto_delete, one.arguments)
    return Installed(entry, messages=one.messages)


def _binding(found: dict[str, dict[str, Installed]], one: BindingDetails) -> Installed | None:
    exchanges = {one.exchange, one.destination_exchange} - {None}
    known = all(name in found["exchange"] or name.startswith(_RABBITMQS) for name in exchanges if name)
    if not known or (one.queue_name is not None and one.queue_name not in found["queue"]):
        return None
    return Installed(NewBinding.model_validate(one.model_dump()))


def _user(user: User) -> Installed:
    disabled = user.disabled or None
    return Installed(ConfiguredUser(username=user.username, role=user.role, disabled=disabled))


def _consumer(one: InstalledConsumer) -> Installed:
    whole = one.spec
    reasons = [route.reason for route in (one.consumer, *one.routes.values()) if route.faults]
    reasons += [
        f"Its route {route.name!r} has no target, because a change was interrupted. Give its routes again."
        for route in whole.routes
        if not isinstance(route, Route)
    ]
    if reasons:
        entry = ConfiguredConsumer.model_construct(**dict(whole))
        return Installed(entry, not_exported=reasons[0], consumer=one)
    paused = {"paused": True} if one.consumer.state == "paused" else {}
    return Installed(ConfiguredConsumer.model_validate(shown(whole) | paused), consumer=one)


def _api_key(key: ApiKey) -> Installed:
    entry = ConfiguredApiKey(name=key.name, role=key.role, expires_at=key.expires_at, queues=key.queues)
    expired = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    return Installed(entry, not_exported="It has expired." if expired else None)
