"""The plan from an installation to a configuration: a table, and properties that hold for all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.configuration import KINDS, Configuration, ConfiguredConsumer
from domain.consumer import ConsumerSpec
from domain.consumer_changes import NewConsumer
from domain.exchange import ExchangeSpec
from domain.queue import QueueSpec
from domain.registry import RegisteredConsumer
from domain.router import consumers_of, router_of
from services.configuration.consumer_entries import InstalledConsumer
from services.configuration.planning import Installed, Step, plan
from services.consumer_state import shown

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Installation = dict[str, dict[str, Installed]]


def configuration(**sections: Any) -> Configuration:
    return Configuration.model_validate(sections)


def installed(wanted: Configuration, label: str | None = None) -> Installation:
    """An installation that was made from a configuration, as services/configuration/reading.py reads it."""
    return {
        kind.name: {kind.key(entry): _installed(kind.name, entry, label or wanted.label) for entry in wanted.of(kind)}
        for kind in KINDS
    }


def _installed(kind: str, entry: Any, label: str | None) -> Installed:
    match kind:
        case "queue":
            arguments = entry.amqp_arguments()
            entry = QueueSpec.of(entry.queue_name, entry.type, entry.durable, entry.auto_delete, arguments)
        case "exchange":
            given = entry.amqp_arguments()
            entry = ExchangeSpec.of(
                entry.exchange, entry.type, entry.durable, entry.auto_delete, entry.internal, given
            )  # fmt: skip
        case "user":
            entry = entry.model_copy(update={"password": None, "disabled": entry.disabled or None})
        case "consumer":
            new = NewConsumer.model_validate(entry.definition() | {"name": entry.name or entry.queue_name})
            spec, state = new.whole(new.url), "paused" if entry.paused else "enabled"
            routes = {one.name: registered(one, router=spec.name) for one in consumers_of(spec)}
            consumer, paused = registered(router_of(spec), state), {"paused": True} if entry.paused else {}
            entry = ConfiguredConsumer.model_validate(shown(spec) | paused)
            return Installed(entry, label, consumer=InstalledConsumer(consumer, routes))
    return Installed(entry, label)


def registered(spec: ConsumerSpec, state: Any = "enabled", router: str | None = None) -> RegisteredConsumer:
    return RegisteredConsumer("id", spec, 3, state, None, NOW, NOW, router=router)


def steps(there: Mapping[str, Mapping[str, Installed]], wanted: Configuration, prune: bool = False) -> list[Step]:
    return plan(there, wanted, prune, NOW)


def told(found: list[Step]) -> list[str]:
    """Each step in one line."""
    return [
        f"{step.action} {step.kind.name} {step.kind.title(step.entry)}"
        + "".join(f", {one.field}: {one.from_} → {one.to}" for one in step.changes if step.action == "change")
        + (f"; {step.blocked}" if step.blocked else "")
        for step in found
    ]


URL = "http://target/"
BASIC = {"type": "basic", "username": "u", "password": "a password"}
MASK = "**********"


def one(section: str, **entry: Any) -> dict[str, Any]:
    return {section: [entry]}


QUEUE, CONSUMER = {"queueName": "q"}, {"queueName": "q", "url": URL}
USER = {"username": "u", "role": "viewer"}
ROUTES: list[dict[str, Any]] = [
    {"name": "large", "when": {"body": {"total": {"$gte": 100}}}, "url": "http://large/", "auth": BASIC},
    {"when": {"headers": {"x-kind": None}}, "url": "http://second/"},
]
MASKED = [ROUTES[0] | {"auth": BASIC | {"password": MASK}}, ROUTES[1]]

CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("queues", QUEUE, QUEUE, []),
    ("queues", {**QUEUE, "arguments": {"x-max-length": 5}}, {**QUEUE, "maxLength": 5}, []),
    ("queues", {**QUEUE, "lazy": True}, {**QUEUE, "arguments": {"x-queue-mode": "lazy"}}, []),
    ("queues", {**QUEUE, "arguments": {"x-queue-mode": "default"}}, QUEUE, ["cannot change arguments"]),
    ("queues", QUEUE, {**QUEUE, "type": "quorum", "durable": False}, ["cannot change type, durable"]),
    (
        "exchanges",
        {"exchange": "e", "alternateExchange": "a"},
        {"exchange": "e", "arguments": {"alternate-exchange": "a"}},
        [],
    ),
    ("exchanges", {"exchange": "e"}, {"exchange": "e", "type": "topic"}, ["direct → topic", "cannot change type"]),
    (
        "policies",
        {"name": "p", "pattern": "^a", "definition": {"max-length": 1}},
        {"name": "p", "pattern": "^b", "definition": {"max-length": 1}},
        ["change policy p, pattern: ^a → ^b"],
    ),
    ("users", USER, {**USER, "role": "admin"}, ["change user u, role: viewer → admin"]),
    ("users", USER, {**USER, "password": "another password"}, []),
    ("users", {**USER, "disabled": True}, USER, []),
    ("users", {**USER, "disabled": True}, {**USER, "disabled": False}, ["disabled: True → False"]),
    ("users", USER, {**USER, "disabled": False}, []),
    ("apiKeys", {"name": "k", "role": "viewer"}, {"name": "k", "role": "admin"}, ["role: viewer → admin; The service"]),
    ("consumers", CONSUMER, {**CONSUMER, "timeout": 3.0}, ["change consumer q, timeout: 30.0 → 3.0"]),
    ("consumers", {**CONSUMER, "timeout": 3.0}, CONSUMER, ["change consumer q, timeout: 3.0 → 30.0"]),
    ("consumers", {**CONSUMER, "paused": True}, CONSUMER, []),
    ("consumers", {**CONSUMER, "paused": True}, {**CONSUMER, "paused": False}, ["paused: True → False"]),
    ("consumers", CONSUMER, {**CONSUMER, "name": "q", "paused": True}, ["paused: False → True"]),
    ("consumers", {**CONSUMER, "auth": BASIC}, {**CONSUMER, "auth": BASIC}, []),
    ("consumers", {**CONSUMER, "auth": BASIC}, {**CONSUMER, "auth": BASIC | {"password": MASK}}, []),
    ("consumers", {**CONSUMER, "auth": BASIC}, {**CONSUMER, "auth": BASIC | {"password": "new"}}, ["auth: {"]),
    ("consumers", {**CONSUMER, "auth": BASIC}, CONSUMER, ["→ None"]),
    ("consumers", CONSUMER, {**CONSUMER, "auth": BASIC | {"password": MASK}}, ["The export hides auth.password"]),
    ("consumers", CONSUMER, {**CONSUMER, "signingSecret": MASK}, ["The export hides signingSecret"]),
    (
        "consumers",
        {**CONSUMER, "headers": {"X-A": "secret", "X-Env": "a"}},
        {**CONSUMER, "headers": {"X-A": MASK}},
        [f"headers: {{'X-A': '{MASK}', 'X-Env': 'a'}} → {{'X-A': '{MASK}'}}"],
    ),
    ("consumers", {**CONSUMER, "auth": BASIC}, {**CONSUMER, "auth": BASIC | {"password": MASK}, "url": "http://b/"},
     ["credentials are not sent to another place"]),
    ("consumers", CONSUMER, {**CONSUMER, "routes": ROUTES}, ["change consumer q, routes: [] → [{'name': 'large'"]),
    ("consumers", {**CONSUMER, "routes": ROUTES}, CONSUMER, ["'timeout': 30.0", "}] → []"]),
    ("consumers", {**CONSUMER, "routes": ROUTES}, {**CONSUMER, "routes": ROUTES, "timeout": 3.0},
     ["timeout: 30.0 → 3.0"]),
    ("consumers", {**CONSUMER, "routes": ROUTES}, {**CONSUMER, "routes": [ROUTES[0]]}, ["'name': '2'"]),
    ("consumers", {**CONSUMER, "routes": ROUTES}, {**CONSUMER, "routes": [ROUTES[0] | {"auth": None}, ROUTES[1]]},
     ["routes: ["]),
    ("consumers", {**CONSUMER, "routes": ROUTES}, {**CONSUMER, "routes": MASKED}, []),
    ("consumers", CONSUMER, {**CONSUMER, "routes": MASKED}, ["The export hides routes.large.auth.password"]),
    ("consumers", {**CONSUMER, "routes": ROUTES}, {**CONSUMER, "routes": [MASKED[0] | {"url": "http://b/"}, MASKED[1]]},
     ["credentials are not sent to another place"]),
    ("consumers", {**CONSUMER, "name": "c"}, {"name": "c", "queueName": "r", "url": URL}, ["queueName: q → r; A cons"]),
]  # fmt: skip


@pytest.mark.parametrize(("section", "before", "after", "words"), CHANGES)
def test_an_entry_that_differs_is_a_change(
    section: str, before: dict[str, Any], after: dict[str, Any], words: list[str]
) -> None:
    lines = told(steps(installed(configuration(**{section: [before]})), configuration(**{section: [after]})))
    assert len(lines) == bool(words)
    for word in words:
        assert word in lines[0]
    for secret in ("a password", "another password", "'secret'"):
        assert secret not in str(lines)


def test_new_objects_are_made_in_an_order_in_which_they_can_be_used_and_deleted_in_reverse() -> None:
    every = configuration(
        label="shop",
        **one("exchanges", exchange="e"), **one("queues", **QUEUE), **one("bindings", exchange="e", queueName="q"),
        **one("policies", name="p", pattern="^q", definition={"max-length": 1}), **one("consumers", **CONSUMER),
        **one("apiKeys", name="k", role="viewer"), **one("users", **USER, password="a long password"),
    )  # fmt: skip
    nothing: Installation = {kind.name: {} for kind in KINDS}
    order = ["policy p", "exchange e", "queue q", "binding e → q by ''", "user u", "consumer q", "apiKey k"]
    assert told(steps(nothing, every)) == [f"create {name}" for name in order]
    assert told(steps(installed(every), configuration(label="shop"), True)) == [f"delete {n}" for n in reversed(order)]
    assert told(steps(installed(every), configuration(label="other"), True)) == []


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (Installed(QueueSpec(queue_name="q"), "shop"), None),
        (Installed(QueueSpec(queue_name="q"), "shop", messages=1), "The queue has 1 message."),
        (Installed(QueueSpec(queue_name="q", type="quorum"), "shop"), "RabbitMQ cannot delete a quorum queue"),
    ],
)
def test_a_queue_is_deleted_only_if_rabbitmq_can_check_that_it_is_empty(there: Installed, reason: str | None) -> None:
    [step] = steps({kind.name: {} for kind in KINDS} | {"queue": {"q": there}}, configuration(label="shop"), True)
    assert step.action == "delete"
    assert (step.blocked is None) is (reason is None)
    assert not reason or (step.blocked or "").startswith(reason)


def test_a_consumer_whose_stored_definition_is_invalid_is_set_again() -> None:
    there = installed(configuration(**one("consumers", **CONSUMER)))
    consumer = there["consumer"]["q"].consumer
    assert consumer is not None
    faulty = RegisteredConsumer(
        "id", consumer.spec, 1, "suspended", "…", NOW, NOW, faults=(("outcomes", "is invalid"),)
    )
    there["consumer"]["q"] = Installed(there["consumer"]["q"].entry, consumer=InstalledConsumer(faulty))
    [step] = steps(there, configuration(**one("consumers", **CONSUMER)))
    assert (step.action, step.fields, step.blocked) == ("change", {"outcomes"}, None)


NAMES = st.sampled_from(["a", "b", "c", "d"])


def few(key: str, fields: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Up to four entries with different keys."""
    entries = st.fixed_dictionaries({key: NAMES, **fields}, optional=optional)
    return st.lists(entries, max_size=4, unique_by=lambda entry: entry[key])


QUEUES = few("queueName", {}, {
    "type": st.sampled_from(["classic", "quorum"]), "maxLength": st.integers(0, 9), "lazy": st.booleans(),
    "singleActiveConsumer": st.booleans(), "deadLetterExchange": st.sampled_from(["", "e"]), "expires": st.just(5),
    "overflow": st.sampled_from(["drop-head", "reject-publish"]),
})  # fmt: skip
CONSUMERS = few("name", {"queueName": NAMES, "url": st.sampled_from([URL, "http://user:secret@b/x?key=secret2"])}, {
    "timeout": st.sampled_from([1.0, 2.0]), "paused": st.booleans(), "reply": st.booleans(),
    "headers": st.dictionaries(st.sampled_from(["X-A", "X-Env"]), st.just("s")),
    "retry": st.just({"schedule": [1.0]}), "rateLimit": st.just({"perSecond": 1.0}),
    "ordering": st.sampled_from(["queue", {"header": "x"}]),
    "auth": st.just({"type": "apiKey", "name": "X-K", "value": "v"}),
    "routes": st.sampled_from([[], ROUTES[:1], ROUTES]),
})  # fmt: skip
CONFIGURATIONS = st.builds(
    configuration,
    label=st.just("shop"),
    queues=QUEUES,
    exchanges=few("exchange", {}, {"type": st.sampled_from(["direct", "topic"])}),
    policies=few("name", {"pattern": st.sampled_from(["^x", "^y"]), "definition": st.just({"max-length": 1})}, {}),
    consumers=CONSUMERS,
    users=few(
        "username",
        {"role": st.sampled_from(["viewer", "admin"]), "password": st.just("a long password")},
        {"disabled": st.booleans()},
    ),
)


def made(there: Installation, found: list[Step], wanted: Configuration) -> Installation:
    """The installation after the steps that are not blocked."""
    after = {kind: dict(objects) for kind, objects in there.items()}
    complete = installed(wanted)
    for step in found:
        if step.blocked:
            continue
        if step.action == "delete":
            del after[step.kind.name][step.key]
        else:
            after[step.kind.name][step.key] = complete[step.kind.name][step.key]
    return after


@given(CONFIGURATIONS)
def test_applying_what_is_there_changes_nothing(wanted: Configuration) -> None:
    assert steps(installed(wanted), wanted, prune=True) == []


@given(CONFIGURATIONS)
def test_applying_an_export_changes_nothing(wanted: Configuration) -> None:
    there = installed(wanted)
    entries = {kind.section: tuple(one.entry for one in there[kind.name].values()) for kind in KINDS}
    exported = Configuration(**entries).model_dump(by_alias=True, mode="json", exclude_defaults=True)
    assert "secret" not in str(exported)
    assert steps(there, Configuration.model_validate(exported)) == []


@given(CONFIGURATIONS, CONFIGURATIONS, st.integers(0, 20))
def test_an_interrupted_plan_and_the_next_lead_to_the_configuration(
    before: Configuration, wanted: Configuration, after_steps: int
) -> None:
    halfway = made(installed(before), steps(installed(before), wanted, True)[:after_steps], wanted)
    ended = made(halfway, steps(halfway, wanted, True), wanted)
    left = steps(ended, wanted, True)
    assert all(step.blocked for step in left)
    assert {(step.action, step.kind.name) for step in left} <= {
        ("change", "queue"), ("delete", "queue"), ("change", "exchange"), ("change", "consumer")
    }  # fmt: skip
