"""Compares an installation with a configuration and plans the changes. Pure: it reads and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from domain.configuration import KINDS, Change, Configuration, ConfiguredConsumer, ConfiguredUser, Kind
from domain.consumer import ConsumerSpec
from domain.exchange import ExchangeSpec
from domain.model import Model
from domain.queue import QueueSpec
from services.configuration.consumer_entries import Differences, InstalledConsumer, cannot_create, differences
from services.consumer_state import masked


@dataclass(frozen=True, slots=True)
class Installed:
    """An object that exists: its entry in a configuration, and its label. `not_exported` is the reason why an export
    leaves it out. `messages` are those of a queue; `consumer` is a consumer with its secrets."""

    entry: Any
    label: str | None = None
    not_exported: str | None = None
    messages: int = 0
    consumer: InstalledConsumer | None = None


Installation = Mapping[str, Mapping[str, Installed]]
"""All objects, by the name of their kind and by their key."""

Action = Literal["create", "change", "delete"]


@dataclass(frozen=True, slots=True)
class Step:
    """A change of one object. `blocked` is the reason why it cannot be made, with what to do about it. `entry` is the
    wanted entry, or the current one of an object to delete; `label` is the label to set."""

    action: Action
    kind: Kind
    key: str
    entry: Any
    changes: tuple[Change, ...] = ()
    blocked: str | None = None
    installed: Installed | None = None
    label: str | None = None

    @property
    def fields(self) -> set[str]:
        """The fields that change, without the label."""
        return {change.field for change in self.changes} - {_LABEL}


_LABEL = "label"


def plan(installed: Installation, wanted: Configuration, prune: bool, now: datetime) -> list[Step]:
    """Return the steps from an installation to a configuration, in the order in which they can be made; none if they
    are equal. With `prune`, also delete the objects with the configuration's label that it does not list."""
    steps: list[Step] = []
    for kind in KINDS:
        steps += filter(None, (_towards(kind, entry, installed, wanted.label, now) for entry in wanted.of(kind)))
    for kind in reversed(KINDS) if prune and wanted.label else ():
        listed = {kind.key(entry) for entry in wanted.of(kind)}
        for key, one in installed[kind.name].items():
            if one.label == wanted.label and key not in listed:
                steps.append(Step("delete", kind, key, one.entry, (), _RULES[kind.name].kept(one), one))
    return steps


def _towards(kind: Kind, entry: Any, installed: Installation, label: str | None, now: datetime) -> Step | None:
    key, rules = kind.key(entry), _RULES[kind.name]
    there = installed[kind.name].get(key)
    if there is None:
        given = tuple(Change(field=name, from_=None, to=value) for name, value in _shown(entry).items())
        return Step("create", kind, key, entry, given, rules.missing(entry, now), label=label)
    changes, blocked = rules.differences(there, entry)
    if label and label != there.label:
        changes.append(Change(field=_LABEL, from_=there.label, to=label))
    if not changes and not blocked:
        return None
    return Step("change", kind, key, entry, tuple(changes), blocked, there, label)


def removal(entry: Model) -> tuple[Change, ...]:
    """Return the fields of an object that is deleted."""
    return tuple(Change(field=name, from_=value, to=None) for name, value in _shown(entry).items())


def _shown(entry: Model) -> dict[str, Any]:
    entry = masked(entry) if isinstance(entry, ConsumerSpec) else entry
    return entry.model_dump(by_alias=True, mode="json", exclude_defaults=True)


def _differences(before: Model, after: Model) -> list[Change]:
    """Return the fields that differ."""
    there, asked = (one.model_dump(by_alias=True, mode="json") for one in (before, after))
    return [Change(field=name, from_=there[name], to=asked[name]) for name in there if there[name] != asked[name]]


def _fixed(normal: Callable[[Any], Any], advice: str) -> Callable[[Installed, Any], Differences]:
    """Return a comparison of objects that cannot be changed; `normal` returns the one form of equal entries."""

    def differences(there: Installed, entry: Any) -> Differences:
        changes = _differences(there.entry, normal(entry))
        names = ", ".join(change.field for change in changes)
        return changes, advice.format(names=names) if changes else None

    return differences


def _normal_exchange(one: ExchangeSpec) -> ExchangeSpec:
    arguments = one.amqp_arguments()
    return ExchangeSpec.of(one.exchange, one.type, one.durable, one.auto_delete, one.internal, arguments)


def _normal_queue(one: QueueSpec) -> QueueSpec:
    return QueueSpec.of(one.queue_name, one.type, one.durable, one.auto_delete, one.amqp_arguments())


def _policy(there: Installed, entry: Any) -> Differences:
    return _differences(there.entry, entry), None


def _user(there: Installed, entry: ConfiguredUser) -> Differences:
    disabled = bool(there.entry.disabled)
    before = there.entry.model_copy(update={"disabled": disabled})
    kept = disabled if entry.disabled is None else entry.disabled
    return _differences(before, entry.model_copy(update={"disabled": kept, "password": None})), None


def _consumer(there: Installed, entry: ConfiguredConsumer) -> Differences:
    assert there.consumer is not None
    return differences(there.consumer, entry)


def _new_user(entry: ConfiguredUser, _now: datetime) -> str | None:
    return None if entry.password else "A new user needs a password. Write password: ${env:NAME}, or ${file:PATH}."


def _new_key(entry: Any, now: datetime) -> str | None:
    expired = entry.expires_at and entry.expires_at <= now
    return "expiresAt is in the past. Choose a later time, or remove the key." if expired else None


def _kept_queue(there: Installed) -> str | None:
    """RabbitMQ deletes only a classic queue on the condition that it is empty, so that no message can arrive between a
    check and the deletion."""
    if there.messages:
        return (
            f"The queue has {there.messages} message{'s' * (there.messages > 1)}. Empty it or purge it (POST "
            "/purgeQueue), then apply again."
        )
    if there.entry.type != "classic":
        return (
            "RabbitMQ cannot delete a quorum queue on the condition that it is empty. Check that it is empty, then "
            "delete it with DELETE /deleteQueue."
        )
    return None


def _anything(*_: Any) -> None:
    return None


class _Rules(NamedTuple):
    """`differences` compares an existing object with its entry. `missing` and `kept` return the reason why an object
    cannot be created or deleted."""

    differences: Callable[[Installed, Any], Differences]
    missing: Callable[[Any, datetime], str | None] = _anything
    kept: Callable[[Installed], str | None] = _anything


_RULES = {
    "policy": _Rules(_policy),
    "exchange": _Rules(
        _fixed(
            _normal_exchange,
            "RabbitMQ cannot change {names} of an existing exchange. Delete it (DELETE /deleteExchange) and apply "
            "again, which also creates its bindings again.",
        )
    ),
    "queue": _Rules(
        _fixed(
            _normal_queue,
            "RabbitMQ cannot change {names} of an existing queue. Set limits and dead-lettering by a policy instead; "
            "or empty the queue, delete it (DELETE /deleteQueue) and apply again.",
        ),
        kept=_kept_queue,
    ),
    "binding": _Rules(lambda _there, _entry: ([], None)),
    "user": _Rules(_user, _new_user),
    "consumer": _Rules(_consumer, lambda entry, _now: cannot_create(entry)),
    "apiKey": _Rules(
        _fixed(
            lambda one: one,
            "The service cannot change {names} of an API key. Delete it (DELETE /deleteApiKey) and apply again, which "
            "creates a key with a new secret.",
        ),
        _new_key,
    ),
}
