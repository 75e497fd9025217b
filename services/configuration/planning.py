"""Compares an installation with a configuration and plans the changes. Pure: it reads and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from domain.configuration import KINDS, Change, Configuration, ConfiguredConsumer, ConfiguredUser, Kind
from domain.consumer import ConsumerSpec
from domain.consumer_changes import ConsumerChanges, NewConsumer
from domain.credentials import left_masked
from domain.errors import Invalid
from domain.exchange import ExchangeSpec
from domain.model import MASK, Model
from domain.queue import QueueSpec
from domain.registry import RegisteredConsumer
from domain.route import DEFAULT, below
from domain.router import stored, whole_of
from domain.sentences import field_faults, joined
from services.consumer_state import masked, shown
from services.routes import changed


@dataclass(frozen=True, slots=True)
class Installed:
    """An object that exists: its entry in a configuration, and its label. `not_exported` is the reason why an export
    leaves it out. `messages` are those of a queue; `consumer` is a consumer with its secrets, and `routes` are the
    consumers of its routes, by name."""

    entry: Any
    label: str | None = None
    not_exported: str | None = None
    messages: int = 0
    consumer: RegisteredConsumer | None = None
    routes: Mapping[str, RegisteredConsumer] = field(default_factory=dict)

    @property
    def spec(self) -> ConsumerSpec:
        """The definition of the consumer, with its routes."""
        assert self.consumer is not None
        return whole_of(self.consumer.spec, {name: one.spec for name, one in self.routes.items()})

    @property
    def faulty(self) -> set[str]:
        """The fields of the consumer whose stored values are invalid."""
        assert self.consumer is not None
        own = self.routes.get(below(self.consumer.spec.name, DEFAULT))
        found = self.consumer.faults + (own.faults if own else ())
        others = {"routes" for one in self.routes.values() if one.faults and one is not own}
        return {name.partition(".")[0] for name, _ in found} | others


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


def _shown(entry: Model) -> dict[str, Any]:
    entry = masked(entry) if isinstance(entry, ConsumerSpec) else entry
    return entry.model_dump(by_alias=True, mode="json", exclude_defaults=True)


Differences = tuple[list[Change], str | None]


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


def consumer_changes(there: Installed, wanted: ConfiguredConsumer) -> ConsumerChanges:
    """Return the changes that make a consumer the wanted one, except `paused`. They apply only to its present
    revision. Raises ValidationError."""
    assert there.consumer is not None
    fields = wanted.definition()
    fields["headers"] = dict.fromkeys(there.spec.headers) | fields["headers"]  # null removes a header
    changes = {name: value for name, value in fields.items() if name not in _IDENTITY}
    which = {"name": there.consumer.spec.name, "ifRevision": there.consumer.revision}
    return ConsumerChanges.model_validate(which | changes)


_IDENTITY = {"name", "queueName"}


def resulting_spec(there: Installed | None, wanted: ConfiguredConsumer) -> ConsumerSpec:
    """Return the definition that a new or changed consumer will have, with its routes. Raises Invalid and
    ValidationError."""
    if there is None:
        return NewConsumer.model_validate(wanted.definition()).whole(wanted.url)
    assert there.consumer is not None
    return changed(there.consumer, there.routes, consumer_changes(there, wanted))


def _consumer(there: Installed, entry: ConfiguredConsumer) -> Differences:
    """Compare the values of secrets, and show them masked."""
    before = there.spec
    if entry.queue_name != before.queue_name:
        moved = Change(field="queueName", from_=before.queue_name, to=entry.queue_name)
        return [moved], (
            "A consumer cannot change its queue. Delete it first (DELETE /deleteConsumer), or list it under another "
            "name."
        )
    try:
        after = resulting_spec(there, entry)
    except Invalid as exc:
        masked_secret = any(name.endswith("signingSecret") for name, _ in exc.fields)
        return [], (_hidden(entry) if masked_secret else None) or exc.detail
    except ValidationError as exc:
        return [], joined(field_faults(ConsumerSpec, exc))
    old, new, was, will = stored(before), stored(after), shown(before), shown(after)
    changes = [
        Change(field=name, from_=was[name], to=will[name])
        for name in new
        if old[name] != new[name] or name in there.faulty
    ]
    paused = there.consumer is not None and there.consumer.state == "paused"
    if entry.paused is not None and entry.paused != paused:
        changes.append(Change(field="paused", from_=paused, to=entry.paused))
    return changes, _masked(new)


def _masked(definition: Mapping[str, Any]) -> str | None:
    hidden = [
        *_masks(definition),
        *(f"routes.{one['name']}.{name}" for one in definition["routes"] for name in _masks(one)),
    ]
    if not hidden:
        return None
    return f"The export hides {', '.join(hidden)}. Write ${{env:NAME}} or ${{file:PATH}} there, or the value itself."


def _masks(target: Mapping[str, Any]) -> list[str]:
    return left_masked(target) + ["signingSecret"] * (target["signingSecret"] == MASK)


def _hidden(entry: ConfiguredConsumer) -> str | None:
    return _masked(entry.definition())


def _new_consumer(entry: ConfiguredConsumer, _now: datetime) -> str | None:
    if hidden := _hidden(entry):
        return hidden
    try:
        NewConsumer.model_validate(entry.definition())
    except ValidationError as exc:
        return joined(field_faults(NewConsumer, exc))
    return None


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
    "consumer": _Rules(_consumer, _new_consumer),
    "apiKey": _Rules(
        _fixed(
            lambda one: one,
            "The service cannot change {names} of an API key. Delete it (DELETE /deleteApiKey) and apply again, which "
            "creates a key with a new secret.",
        ),
        _new_key,
    ),
}
