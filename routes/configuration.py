"""Configuration as code: GET /exportConfiguration, POST /applyConfiguration."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from domain.configuration import Change, Configuration, Label
from domain.model import Model
from middlewares.auth import caller, services
from routes.answers import Done
from routes.api import Api, Reply
from routes.audit import record_change
from routes.refusals import QUEUE
from services.configuration import applying
from services.configuration.planning import Action, Step
from services.configuration.reading import NotExported

api = Api("configuration")


class ExportQuery(Model):
    """Parameters of an export."""

    label: Label | None = Field(None, description="only the objects with this label")


class Exported(Model):
    """The configuration, without fields that have their defaults and with masked secrets, and the objects that it
    leaves out."""

    configuration: Configuration
    not_exported: list[NotExported]


class ApplyConfiguration(Model):
    """A configuration, and how to apply it."""

    configuration: Configuration = Field(
        examples=[{"queues": [{"queueName": "orders"}]}], description="as GET /exportConfiguration returns it"
    )
    dry_run: bool = Field(False, description="change nothing; return the plan")
    prune: bool = Field(
        False, description="also delete the objects with the label of the configuration that it does not list"
    )


class PlannedStep(Model):
    """A change of one object. `detail` says why it is blocked or failed, and what to do, or has warnings. `key` is the
    secret of a new API key, which is never shown again."""

    action: Action
    kind: str
    name: str
    changes: tuple[Change, ...]
    state: Literal["planned", "blocked", "done", "failed"]
    detail: str | None = None
    key: str | None = None


class Applied(Done):
    """The steps that apply the configuration; empty if the objects already have it."""

    steps: list[PlannedStep]


@api.get("/exportConfiguration", role="admin", refuses=QUEUE)
def export_configuration(query: ExportQuery) -> Reply[Exported]:
    """Export exchanges, queues, bindings, policies, consumers, API keys and users as a configuration.

    Secrets are masked or left out. To apply the configuration where the objects exist, leave the masks: they keep the
    current values."""
    configuration, not_exported = services.configurations.export(query.label)
    content = configuration.model_dump(by_alias=True, mode="json", exclude_defaults=True)
    exported: Any = {"configuration": content, "notExported": not_exported}
    return Reply(exported)


@api.post("/applyConfiguration", role="admin", statuses=(200, 207), refuses=QUEUE)
def apply_configuration(body: ApplyConfiguration) -> Reply[Applied]:
    """Apply a configuration: create missing objects, and change those that differ.

    With `dryRun`, the answer is the plan. Objects that the configuration does not list stay, unless `prune` deletes
    those with its label; a queue with messages is never deleted. The service carries out all steps that are possible.
    If a step is blocked or fails, its `detail` has the reason, and the answer is 207. To complete an interrupted
    request, repeat it."""
    if body.dry_run:
        planned = [_shown(step) for step in services.configurations.plan(body.configuration, body.prune)]
        return _answer(planned, "Nothing was changed.")
    done = services.configurations.apply(body.configuration, body.prune, caller().username, record_change)
    steps = [_shown(one.step, one) for one in done]
    left = any(step.state != "done" for step in steps)
    return _answer(
        steps,
        "Some steps were not carried out. See detail." if left else "All steps were carried out.",
        207 if left else 200,
    )


def _answer(steps: list[PlannedStep], message: str, status: int = 200) -> Reply[Applied]:
    equal = "The installation already has this configuration."
    return Reply(Applied(message=message if steps else equal, steps=steps), status)


def _shown(step: Step, done: applying.Done | None = None) -> PlannedStep:
    state: Literal["planned", "blocked", "done", "failed"] = "planned" if done is None else "done"
    detail = step.blocked or (" ".join(done.warnings) if done else None) or None
    if step.blocked:
        state = "blocked"
    elif done and done.error:
        state, detail = "failed", _ADVICE.get(done.error.code, done.error.detail)
    return PlannedStep(
        action=step.action,
        kind=step.kind.name,
        name=step.kind.title(step.entry),
        changes=step.changes,
        state=state,
        detail=detail,
        key=done.secret if done else None,
    )


_ADVICE = {
    "queue_in_use": "The queue has consumers. Stop them, then apply again.",
    "queue_not_empty": "The queue has messages. Empty or purge it (POST /purgeQueue), then apply again.",
    "exchange_in_use": "The exchange has other bindings. Remove them (POST /unbindQueue), then apply again.",
}
"""For errors whose text is about a field of another route."""
