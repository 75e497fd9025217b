"""Consumers in a configuration: compares a consumer with its entry. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from domain.configuration import Change, ConfiguredConsumer
from domain.consumer import ConsumerSpec
from domain.consumer_changes import ConsumerChanges, NewConsumer
from domain.credentials import left_masked
from domain.errors import Invalid
from domain.model import MASK
from domain.registry import RegisteredConsumer
from domain.route import DEFAULT, below
from domain.router import stored, whole_of
from domain.sentences import field_faults, joined
from services.consumer_state import shown
from services.routes import changed

Differences = tuple[list[Change], str | None]
"""The fields of an object that differ from its entry, and the reason why they cannot be changed."""


@dataclass(frozen=True, slots=True)
class InstalledConsumer:
    """A consumer that exists, and the consumers of its routes by name."""

    consumer: RegisteredConsumer
    routes: Mapping[str, RegisteredConsumer] = field(default_factory=dict)

    @property
    def spec(self) -> ConsumerSpec:
        """The definition, with the routes."""
        return whole_of(self.consumer.spec, {name: one.spec for name, one in self.routes.items()})

    @property
    def faulty(self) -> set[str]:
        """The fields whose stored values are invalid."""
        own = self.routes.get(below(self.consumer.spec.name, DEFAULT))
        found = self.consumer.faults + (own.faults if own else ())
        others = {"routes" for one in self.routes.values() if one.faults and one is not own}
        return {name.partition(".")[0] for name, _ in found} | others


def changes_of(there: InstalledConsumer, wanted: ConfiguredConsumer) -> ConsumerChanges:
    """Return the changes that make a consumer the wanted one, except `paused`. They apply only to its present
    revision. Raises ValidationError."""
    fields = wanted.definition()
    fields["headers"] = dict.fromkeys(there.spec.headers) | fields["headers"]  # null removes a header
    changes = {name: value for name, value in fields.items() if name not in _IDENTITY}
    which = {"name": there.consumer.spec.name, "ifRevision": there.consumer.revision}
    return ConsumerChanges.model_validate(which | changes)


_IDENTITY = {"name", "queueName"}


def resulting_spec(there: InstalledConsumer | None, wanted: ConfiguredConsumer) -> ConsumerSpec:
    """Return the definition that a new or changed consumer will have, with its routes. Raises Invalid and
    ValidationError."""
    if there is None:
        return NewConsumer.model_validate(wanted.definition()).whole(wanted.url)
    return changed(there.consumer, there.routes, changes_of(there, wanted))


def differences(there: InstalledConsumer, entry: ConfiguredConsumer) -> Differences:
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
        return [], (_hidden(entry.definition()) if masked_secret else None) or exc.detail
    except ValidationError as exc:
        return [], joined(field_faults(ConsumerSpec, exc))
    old, new, was, will, faulty = stored(before), stored(after), shown(before), shown(after), there.faulty
    changes = [
        Change(field=name, from_=was[name], to=will[name]) for name in new if old[name] != new[name] or name in faulty
    ]
    paused = there.consumer.state == "paused"
    if entry.paused is not None and entry.paused != paused:
        changes.append(Change(field="paused", from_=paused, to=entry.paused))
    return changes, _hidden(new)


def cannot_create(entry: ConfiguredConsumer) -> str | None:
    """Return the reason why the consumer cannot be created."""
    if hidden := _hidden(entry.definition()):
        return hidden
    try:
        NewConsumer.model_validate(entry.definition())
    except ValidationError as exc:
        return joined(field_faults(NewConsumer, exc))
    return None


def _hidden(definition: Mapping[str, Any]) -> str | None:
    """Return a sentence about the secrets that are masks."""
    hidden = _masks(definition)
    for route in definition["routes"]:
        hidden += [f"routes.{route['name']}.{name}" for name in _masks(route)]
    if not hidden:
        return None
    return f"The export hides {', '.join(hidden)}. Write ${{env:NAME}} or ${{file:PATH}} there, or the value itself."


def _masks(target: Mapping[str, Any]) -> list[str]:
    return left_masked(target) + ["signingSecret"] * (target["signingSecret"] == MASK)
