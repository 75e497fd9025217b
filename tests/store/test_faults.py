"""The store behind a proxy that refuses, delays or loses single commands."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.attempt import Attempt, AttemptFilter
from domain.audit import AuditEntry, AuditFilter
from domain.consumer import ConsumerSpec
from domain.errors import StoreUnavailable, TooLargeForStore, WorkerError
from domain.idempotency import KeptAnswer
from domain.registry import RegisteredConsumer
from domain.selection import Order
from gateway.mongo import Store
from services.attempt_writer import AttemptWriter
from services.audit import AuditLog
from services.idempotency import Idempotency
from tests.store.conftest import MakeStore
from tests.support.mongo_proxy import Fault, MongoProxy, refusal
from tests.support.processes import wait_until

SPEC = ConsumerSpec(queue_name="orders", url="https://erp.example/orders")
ANSWER = KeptAnswer(201, "application/json", "{}")
UNAUTHORIZED = refusal(13, "Unauthorized")
CLASH = {"ok": 1, "n": 0, "nModified": 0}


def names(proxy: MongoProxy) -> list[str]:
    return [next(iter(command)) for command in proxy.seen]


def attempt(number: int) -> Attempt:
    return Attempt(datetime.now(UTC), "id", "c", "q", f"m{number}", 1, "retried", 500, None, "HTTP 500", 3, None)


def entry(number: int) -> AuditEntry:
    return AuditEntry(f"e{number}", datetime.now(UTC), "u", "a", {}, "", 200, "r")


# --- what the server says --------------------------------------------------------------------------------------------


def test_a_refusal_says_what_is_missing_and_nothing_that_the_server_quotes(
    broken: Store, mongo_proxy: MongoProxy
) -> None:
    mongo_proxy.faults = [Fault("find", answer=UNAUTHORIZED)]
    with pytest.raises(StoreUnavailable) as caught:
        broken.consumers.desired()
    assert (
        caught.value.detail == "MongoDB's user lacks a permission. Use the role that docs/deploy/mongo-role.js creates."
    )


def test_a_refused_write_says_its_code(broken: Store, mongo_proxy: MongoProxy) -> None:
    errors = [{"index": 0, "code": 9001, "errmsg": "canary"}]
    mongo_proxy.faults = [Fault("insert", answer={"ok": 1, "n": 0, "writeErrors": errors})]
    for write in (
        lambda: broken.consumers.create(SPEC),
        lambda: broken.attempts.add({"1": attempt(1), "2": attempt(2)}),
    ):
        with pytest.raises(StoreUnavailable, match=r"^MongoDB refused the operation: code 9001\.$"):
            write()


def test_the_error_for_an_old_server_names_the_required_version(make_store: MakeStore, mongo_proxy: MongoProxy) -> None:
    old = {"ok": 1, "ismaster": True, "minWireVersion": 0, "maxWireVersion": 6}
    mongo_proxy.faults = [Fault(name, answer=old) for name in ("ismaster", "isMaster", "hello")]
    with pytest.raises(StoreUnavailable, match=r"MongoDB cannot be used: .* at least 9 \(MongoDB 4\.4\)"):
        make_store(mongo_proxy.port).ping()


def test_the_error_for_a_store_that_is_down_has_the_reason(make_store: MakeStore, mongo_proxy: MongoProxy) -> None:
    mongo_proxy.refuse()
    with pytest.raises(StoreUnavailable, match=r"^MongoDB cannot be reached \(Connection refused\)\. Try again"):
        make_store(mongo_proxy.port).ping()


def test_ready_is_what_can_be_read_not_what_answers_a_ping(broken: Store, mongo_proxy: MongoProxy) -> None:
    broken.ping()
    mongo_proxy.faults = [Fault("find", answer=UNAUTHORIZED)]
    with pytest.raises(StoreUnavailable, match="lacks a permission"):
        broken.ping()


@pytest.mark.parametrize("code", [10334, 17419, 17420])
def test_a_document_that_the_server_finds_too_large_is_no_outage(
    broken: Store, mongo_proxy: MongoProxy, code: int
) -> None:
    created, _ = broken.consumers.create(SPEC)
    error = {"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": code, "errmsg": "too large"}]}
    for answer in (error, refusal(code, "BSONObjectTooLarge")):
        mongo_proxy.faults = [Fault(command, "consumers", answer) for command in ("insert", "update")]
        with pytest.raises(TooLargeForStore, match="16 MiB"):
            broken.consumers.create(SPEC.model_copy(update={"name": "other"}))
        with pytest.raises(TooLargeForStore, match="16 MiB"):
            broken.consumers.update(created.id, SPEC)


def test_a_document_that_pymongo_finds_too_large_is_no_outage(direct: Store) -> None:
    with pytest.raises(TooLargeForStore):
        direct.consumers.create(SPEC.model_copy(update={"headers": {"X-Long": "x" * 17 * 2**20}}))


def test_changes_are_confirmed_by_the_majority(broken: Store, mongo_proxy: MongoProxy) -> None:
    created, _ = broken.consumers.create(SPEC)
    broken.consumers.update(created.id, SPEC)
    broken.consumers.delete(created.id)
    broken.attempts.add({"1": attempt(1)})
    writes = [command for command in mongo_proxy.seen if next(iter(command)) in {"insert", "update", "delete"}]
    assert {next(iter(command)) for command in writes} == {"insert", "update", "delete"}
    assert [command.get("writeConcern") for command in writes] == [{"w": "majority"}] * len(writes)


# --- deadlines -------------------------------------------------------------------------------------------------------


def test_a_call_of_many_commands_has_one_deadline(broken: Store, mongo_proxy: MongoProxy) -> None:
    created, _ = broken.consumers.create(SPEC)
    mongo_proxy.seen.clear()
    mongo_proxy.faults = [Fault("update", "consumers", CLASH, delay=0.3)]
    with pytest.raises(StoreUnavailable):
        broken.consumers.update(created.id, SPEC)
    assert names(mongo_proxy).count("update") < 20, "each of them answered in time"


def test_several_calls_of_a_unit_of_work_have_one_deadline_and_the_next_unit_a_new_one(
    broken: Store, mongo_proxy: MongoProxy
) -> None:
    for _ in range(3):
        mongo_proxy.faults = [Fault("find", delay=0.3)]
        with broken.unit_of_work(), pytest.raises(StoreUnavailable, match="did not answer in time"):
            sum(broken.consumers.version() for _ in range(20))
        mongo_proxy.faults = []
        with broken.unit_of_work():
            broken.consumers.version()


def test_calls_outside_of_a_unit_of_work_have_a_deadline_each(broken: Store, mongo_proxy: MongoProxy) -> None:
    mongo_proxy.faults = [Fault("find", delay=0.3)]
    for _ in range(5):
        broken.consumers.version()


def test_time_that_a_unit_of_work_spends_elsewhere_does_not_count(broken: Store) -> None:
    with broken.unit_of_work():
        until = time.monotonic() + 1.5
        wait_until(lambda: time.monotonic() > until)
        broken.consumers.version()


# --- changes ---------------------------------------------------------------------------------------------------------


def test_a_change_that_others_always_win_ends(make_store: MakeStore, mongo_proxy: MongoProxy) -> None:
    patient = make_store(mongo_proxy.port, deadline=60)
    created, _ = patient.consumers.create(SPEC)
    mongo_proxy.seen.clear()
    mongo_proxy.faults = [Fault("update", "consumers", CLASH)]
    with pytest.raises(StoreUnavailable, match="Other requests keep changing"):
        patient.consumers.update(created.id, SPEC)
    tries = [command for command in mongo_proxy.seen if command.get("update") == "consumers"]
    assert len(tries) == 100


CHANGES: dict[str, Callable[[Store, RegisteredConsumer], Any]] = {
    "insert": lambda store, _: store.consumers.create(SPEC.model_copy(update={"name": "new"})),
    "update": lambda store, created: store.consumers.set_state(created.id, "paused"),
    "delete": lambda store, created: store.consumers.delete(created.id),
}


@pytest.mark.parametrize("command", CHANGES)
def test_a_change_whose_outcome_is_unknown_is_seen_by_the_workers(
    broken: Store, direct: Store, mongo_proxy: MongoProxy, command: str
) -> None:
    created, _ = direct.consumers.create(SPEC)
    before, names_before = direct.consumers.version(), [one.spec.name for one in direct.consumers.desired()]
    mongo_proxy.faults = [Fault(command, "consumers", lost=True)]
    with pytest.raises(StoreUnavailable):
        CHANGES[command](broken, created)
    assert [one.spec.name for one in direct.consumers.desired()] != names_before, "the change was made"
    assert direct.consumers.version() > before


def test_attempts_that_were_refused_or_whose_answer_was_lost_are_stored_once(
    broken: Store, direct: Store, mongo_proxy: MongoProxy
) -> None:
    writer = AttemptWriter(broken.attempts, at_once=2)
    for fault in (Fault("insert", "attempts", UNAUTHORIZED), Fault("insert", "attempts", lost=True)):
        mongo_proxy.faults = [fault]
        for number in range(3):
            with pytest.raises(StoreUnavailable):
                writer.write([attempt(number)])
    mongo_proxy.faults = []
    writer.write([])
    found = direct.attempts.find(AttemptFilter(), Order(), 1, 100)
    assert sorted(one.message_id for one in found.items) == sorted(["m0", "m1", "m2"] * 2)


def test_an_entry_that_the_server_never_stores_does_not_hold_up_the_others(
    broken: Store, direct: Store, mongo_proxy: MongoProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    never = {"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": 10334, "errmsg": "too large"}]}
    mongo_proxy.faults = [Fault("insert", "audit", never, times=1)]
    written = AuditLog(broken.audit, at_once=1)
    for number in range(3):
        written.add(entry(number))
    written.start()
    written.stop(10)
    assert direct.audit.find(AuditFilter(), Order(), 1, 1).total == 2
    said = capsys.readouterr()
    assert "log_entries_lost" in said.out + said.err


def test_an_entry_that_pymongo_cannot_send_does_not_hold_up_the_others(direct: Store) -> None:
    too_large = replace(entry(2), resource={"name": "x" * 25 * 2**20})  # and its name once more, in another field
    assert direct.audit.add([entry(1), too_large, entry(3)]) == 1
    assert {one.entry_id for one in direct.audit.find(AuditFilter(), Order(), 1, 3).items} == {"e1", "e3"}


def test_a_write_that_the_majority_does_not_confirm_is_repeated(broken: Store, mongo_proxy: MongoProxy) -> None:
    written = AuditLog(broken.audit, retry_after=0.05)
    unsure = {"code": 64, "errmsg": "waiting for replication timed out"}
    mongo_proxy.faults = [Fault("insert", "audit", {"ok": 1, "n": 1, "writeConcernError": unsure}, times=2)]
    written.add(entry(1))
    written.start()
    wait_until(lambda: broken.audit.find(AuditFilter(), Order(), 1, 1).total == 1)
    written.stop(5)


# --- Idempotency-Key -------------------------------------------------------------------------------------------------


def once(service: Idempotency, key: str) -> bool | None:
    """Whether the request was carried out; None if it was refused."""
    carried_out: list[bool] = []

    def answer() -> tuple[KeptAnswer, bool]:
        carried_out.append(True)
        return ANSWER, True

    try:
        service.once("user", key, b"request", answer)
    except WorkerError:
        return None
    return bool(carried_out)


def test_a_reservation_whose_outcome_is_unknown_is_freed_long_before_its_lease_ends(
    broken: Store, mongo_proxy: MongoProxy
) -> None:
    service = Idempotency(broken.idempotency, retry_after=0.05)
    service.start()
    for number in range(3):
        mongo_proxy.faults = [Fault("insert", "idempotency", lost=True)]
        assert once(service, f"{number}") is None
        mongo_proxy.faults = []
        wait_until(lambda key=f"{number}": once(service, key), 20, "the key being free")
    service.stop(5)


def test_an_answer_whose_write_was_refused_is_kept_later(broken: Store, mongo_proxy: MongoProxy) -> None:
    service = Idempotency(broken.idempotency, retry_after=0.05)
    service.start()
    mongo_proxy.faults = [Fault("update", "idempotency", UNAUTHORIZED)]
    assert once(service, "k")
    assert once(service, "k") is None, "under way"
    mongo_proxy.faults = []
    wait_until(lambda: once(service, "k") is False, 20, "the answer being kept")
    service.stop(5)
