"""Exports the configuration of the installation, and applies one: carries out a plan step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from domain.configuration import KINDS, Change, Configuration
from domain.consumer_changes import NewConsumer, WhichConsumer
from domain.errors import BrokerUnavailable, Invalid, PreconditionFailed, StoreUnavailable, WorkerError
from services.configuration.consumer_entries import changes_of, resulting_spec
from services.configuration.planning import Action, Step, plan, removal
from services.configuration.reading import NotExported, Objects, Resources


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was carried out, unless it was blocked: the error if it failed, the secret of a new API key, and
    warnings about a consumer."""

    step: Step
    error: WorkerError | None = None
    secret: str | None = None
    warnings: tuple[str, ...] = ()


Record = Callable[[str, Any, WorkerError | None, Sequence[Change]], None]
"""Records a change in the audit log: the operation of the API that makes such a change, the entry of the object, and
the error if it failed, and the fields that it changes."""


class Configurations:
    """Thread-safe. Every method raises BrokerUnavailable and StoreUnavailable when it cannot read all objects."""

    def __init__(
        self, resources: Resources, unit_of_work: Callable[[], AbstractContextManager[None]], drained_in: float = 5.0
    ) -> None:
        """Each step is a `unit_of_work`, because many take longer than one request may wait for the store. Wait at most
        `drained_in` seconds until the workers have left the queue of a deleted consumer."""
        self._resources = resources
        self._unit_of_work = unit_of_work
        self._drained_in = drained_in

    def export(self, label: str | None = None) -> tuple[Configuration, list[NotExported]]:
        """Return the configuration of the installation, or of the objects with this label, without secrets, and the
        objects that it leaves out."""
        objects = self._resources.read()
        sections: dict[str, list[Any]] = {kind.section: [] for kind in KINDS}
        left_out = [] if label else list(objects.others)
        for kind in KINDS:
            for _, one in sorted(objects.installed[kind.name].items()):
                if label is not None and one.label != label:
                    continue
                if one.not_exported:
                    name = kind.title(one.entry)
                    left_out.append(NotExported(kind=kind.name, name=name, reason=one.not_exported))
                else:
                    sections[kind.section].append(one.entry)
        return Configuration(label=label, **{name: tuple(entries) for name, entries in sections.items()}), left_out

    def plan(self, wanted: Configuration, prune: bool) -> list[Step]:
        """Return the steps to the configuration. Raises Invalid for `prune` without a label."""
        return self._planned(self._resources.read(), wanted, prune)

    def apply(self, wanted: Configuration, prune: bool, created_by: str, record: Record) -> list[Done]:
        """Make the installation equal to the configuration. Carry out all steps that are not blocked; if one fails,
        carry out the others. If this is interrupted, apply the configuration again. Raises Invalid for `prune` without
        a label."""
        objects = self._resources.read()
        steps = self._planned(objects, wanted, prune)
        if wanted.label:
            self._forget_deleted(objects, wanted.label)
        applying = _Applying(self._resources, created_by, record, self._drained_in)
        done = []
        for step in steps:
            with self._unit_of_work():
                done.append(applying.carry_out(step))
        return done

    def _planned(self, objects: Objects, wanted: Configuration, prune: bool) -> list[Step]:
        if prune and not wanted.label:
            sentence = "needs a label in the configuration: it deletes only objects with that label"
            raise Invalid(f"prune: {sentence}.", fields=[("prune", sentence)])
        return [self._checked(step) for step in plan(objects.installed, wanted, prune, datetime.now(UTC))]

    def _checked(self, step: Step) -> Step:
        """Return the step, blocked if the service refuses the consumer: its target, template or certificate."""
        if step.kind.name != "consumer" or step.action == "delete" or step.blocked:
            return step
        there = step.installed.consumer if step.installed else None
        try:
            self._resources.consumers.check(
                resulting_spec(there, step.entry),
                there.routes if there else {},
                there.consumer.spec if there else None,
            )
        except Invalid as exc:
            return replace(step, blocked=exc.detail)
        return step

    def _forget_deleted(self, objects: Objects, label: str) -> None:
        """Remove the labels of objects that do not exist: another object of that name may be created later."""
        for (kind, key), its_label in self._resources.labels.all().items():
            if its_label == label and key not in objects.installed[kind]:
                with self._unit_of_work():
                    self._resources.labels.remove(kind, key)


class _Applying:
    """One application of a configuration."""

    def __init__(self, resources: Resources, created_by: str, record: Record, drained_in: float) -> None:
        self._to, self._created_by, self._record = resources, created_by, record
        self._drained_in = drained_in
        self._drained: set[str] = set()
        self._secret: str | None = None
        self._warnings: list[str] = []
        self._down: WorkerError | None = None

    def carry_out(self, step: Step) -> Done:
        """Make one change, then set or remove the label: an object without a label is never deleted."""
        if step.blocked or self._down:
            return Done(step, self._down)
        self._secret, self._warnings = None, []
        error = None
        try:
            if step.action != "change" or step.fields:
                self._change(step)
            if step.action == "delete":
                self._to.labels.remove(step.kind.name, step.key)
            elif step.label:
                self._to.labels.set(step.kind.name, step.key, step.label)
        except WorkerError as exc:
            error = exc
            if exc.code in _DOWN:
                self._down = exc  # further steps would wait for it in vain
        return Done(step, error, self._secret, tuple(self._warnings))

    def _change(self, step: Step) -> None:
        operation, act = self._acts()[step.kind.name, step.action]
        try:
            act(step)
        except WorkerError as exc:
            self._record(operation, step.entry, exc, ())
            raise
        made = removal(step.entry) if step.action == "delete" else step.changes
        self._record(operation, step.entry, None, made)

    def _acts(self) -> dict[tuple[str, Action], tuple[str, Callable[[Step], object]]]:
        """Return the operation of the API and the call of its service, for each kind and action."""
        to = self._to
        return {
            ("policy", "create"): ("createPolicy", lambda step: to.policies.put(step.entry)),
            ("policy", "change"): ("createPolicy", lambda step: to.policies.put(step.entry)),
            ("policy", "delete"): ("deletePolicy", lambda step: to.policies.delete(step.entry.name)),
            ("exchange", "create"): ("createExchange", lambda step: to.exchanges.create(step.entry)),
            ("exchange", "delete"): (
                "deleteExchange",
                lambda step: to.exchanges.delete(step.entry.exchange, if_unused=True),
            ),
            ("queue", "create"): ("createQueue", lambda step: to.queues.create(step.entry)),
            ("queue", "delete"): ("deleteQueue", self._delete_queue),
            ("binding", "create"): ("bindQueue", lambda step: to.exchanges.bind(step.entry)),
            ("binding", "delete"): ("unbindQueue", lambda step: to.exchanges.unbind(step.entry)),
            ("user", "create"): ("createUser", self._create_user),
            ("user", "change"): ("updateUser", self._update_user),
            ("user", "delete"): ("deleteUser", lambda step: to.users.delete(step.entry.username)),
            ("consumer", "create"): ("createConsumer", self._create_consumer),
            ("consumer", "change"): ("updateConsumer", self._update_consumer),
            ("consumer", "delete"): ("deleteConsumer", self._delete_consumer),
            ("apiKey", "create"): ("createApiKey", self._create_key),
            ("apiKey", "delete"): ("deleteApiKey", lambda step: to.api_keys.delete(step.entry.name)),
        }

    def _delete_queue(self, step: Step) -> None:
        """Delete a queue without messages and consumers. RabbitMQ's condition `if-empty` does not count messages in
        flight; a queue without consumers has none."""
        until = time.monotonic() + self._drained_in
        while True:
            try:
                return self._to.queues.delete(step.key, if_empty=True, if_unused=True)
            except PreconditionFailed as exc:
                leaving = exc.code == "queue_in_use" and step.key in self._drained
                if not leaving or time.monotonic() > until:
                    raise
            time.sleep(0.2)

    def _create_user(self, step: Step) -> None:
        user = step.entry
        self._to.users.create(user.username, user.password.get_secret_value(), user.role)
        if user.disabled:
            self._to.users.update(user.username, disabled=True)

    def _update_user(self, step: Step) -> None:
        wanted = {name: getattr(step.entry, name) for name in step.fields}
        self._to.users.update(step.entry.username, **wanted)

    def _create_consumer(self, step: Step) -> None:
        new = NewConsumer.model_validate(step.entry.definition())
        *_, self._warnings = self._to.consumers.create(new, paused=bool(step.entry.paused))

    def _update_consumer(self, step: Step) -> None:
        assert step.installed is not None
        assert step.installed.consumer is not None
        if step.fields != {"paused"}:
            _, self._warnings = self._to.consumers.update(changes_of(step.installed.consumer, step.entry))
        if "paused" in step.fields:
            switch = self._to.consumers.pause if step.entry.paused else self._to.consumers.resume
            switch(WhichConsumer(name=step.key))

    def _delete_consumer(self, step: Step) -> None:
        self._to.consumers.delete(WhichConsumer(name=step.key))
        self._drained.add(step.entry.queue_name)

    def _create_key(self, step: Step) -> None:
        self._secret, _ = self._to.api_keys.create(step.entry, self._created_by)


_DOWN = (BrokerUnavailable.code, StoreUnavailable.code)
