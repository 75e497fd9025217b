"""The store deletes each kind of record after its retention period, repeatedly, and after the period was changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from domain.attempt import AttemptFilter
from domain.audit import AuditFilter
from domain.errors import NotFound, StoreUnavailable
from domain.idempotency import KeptAnswer, Reservation
from domain.replay import Replay
from domain.schedule import Scheduled
from domain.selection import Order
from gateway.mongo import Store
from gateway.mongo.retention import Retention
from tests.store.conftest import MakeStore
from tests.store.test_faults import attempt, entry
from tests.support.mongo_proxy import Fault, MongoProxy, refusal
from tests.support.processes import wait_until
from tests.support.store import StoreNode

HOUR = 3600
Keep = Callable[[Store, int], None]
Kept = Callable[[Store, int], bool]


def _keep_replay(store: Store, number: int) -> None:
    now = datetime.now(UTC)
    store.replays.put(
        Replay(
            replay_id=f"{number}", queue_name="q", dead_letter_queue="q.dlq", state="running", dry_run=False,
            started_at=now, updated_at=now,
        )
    )  # fmt: skip


def _has_replay(store: Store, number: int) -> bool:
    try:
        return bool(store.replays.get(f"{number}"))
    except NotFound:
        return False


def _keep_answer(store: Store, number: int) -> None:
    reservation = Reservation(f"{number}", "holder", "fingerprint")
    assert store.idempotency.reserve(reservation, datetime.now(UTC)) is None
    store.idempotency.keep(reservation, KeptAnswer(200, "text/plain", ""), datetime.now(UTC))


def _has_answer(store: Store, number: int) -> bool:
    return store.idempotency._collection().find_one({"_id": f"{number}"}) is not None


def _has_attempt(store: Store, number: int) -> bool:
    return bool(store.attempts.find(AttemptFilter(message_id=f"m{number}"), Order(), 1, 1).total)


def _has_entry(store: Store, number: int) -> bool:
    return f"e{number}" in {one.entry_id for one in store.audit.find(AuditFilter(), Order(), 1, 100).items}


def _keep_scheduled(store: Store, number: int) -> None:
    now = datetime.now(UTC)
    store.scheduled.add([Scheduled(f"{number}", f"m{number}", "", "q", now, now, "shop")])


KINDS: dict[str, tuple[Keep, Kept]] = {
    "attempts": (lambda store, number: void(store.attempts.add({f"{number}": attempt(number)})), _has_attempt),
    "audit": (lambda store, number: void(store.audit.add([entry(number)])), _has_entry),
    "scheduled": (_keep_scheduled, lambda store, number: bool(store.scheduled.find(f"m{number}"))),
    "replays": (_keep_replay, _has_replay),
    "idempotency": (_keep_answer, _has_answer),
}


def void(_: object) -> None:
    """Return nothing."""


@pytest.fixture(autouse=True)
def _needs_ttl_indexes(request: pytest.FixtureRequest, store: StoreNode) -> None:
    if "mongo_proxy" not in request.fixturenames and not store.expires:
        pytest.skip("this server has no TTL indexes")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_forgotten_after_its_own_time_again_and_again(make_store: MakeStore, kind: str) -> None:
    others = dict.fromkeys(set(KINDS) - {kind}, HOUR)
    store = make_store(retention=Retention(**{kind: 1}, **others))
    for name, (keep, _) in KINDS.items():
        if name != kind:
            keep(store, 100)
    keep, kept = KINDS[kind]
    for number in range(4):
        keep(store, number)
        assert kept(store, number)
        wait_until(lambda number=number: not kept(store, number), 20, f"{kind} being forgotten")
    assert [name for name, (_, kept) in KINDS.items() if not kept(store, 100)] == [kind]


@pytest.mark.parametrize("kind", ["attempts", "audit", "scheduled", "replays"])
def test_a_time_that_is_changed_holds_for_what_is_there(make_store: MakeStore, kind: str) -> None:
    keep, kept = KINDS[kind]
    keep(make_store(retention=Retention(**{kind: HOUR})), 1)
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        assert kept(make_store(retention=Retention(**{kind: HOUR})), 1)
    shorter = make_store(retention=Retention(**{kind: 1}))
    wait_until(lambda: not kept(shorter, 1), 20, "the new time")


def test_a_ttl_that_mongodb_does_not_change_by_itself_is_changed_by_coll_mod(
    make_store: MakeStore, mongo_proxy: MongoProxy
) -> None:
    conflict = refusal(85, "IndexOptionsConflict")
    mongo_proxy.faults = [
        Fault("createIndexes", "attempts", conflict, times=1),
        Fault("collMod", answer={"ok": 1, "expireAfterSeconds_old": HOUR, "expireAfterSeconds_new": 60}),
    ]
    make_store(mongo_proxy.port, retention=Retention(attempts=60)).attempts.add({"1": attempt(1)})
    commands = [command for command in mongo_proxy.seen if next(iter(command)) in {"createIndexes", "collMod"}]
    assert [next(iter(command)) for command in commands] == ["createIndexes", "collMod", "createIndexes"]
    changed = commands[1]
    assert (changed["collMod"], changed["index"]) == ("attempts", {"keyPattern": {"at": 1}, "expireAfterSeconds": 60})


def test_a_conflict_of_indexes_other_than_the_ttl_is_an_error(make_store: MakeStore, mongo_proxy: MongoProxy) -> None:
    conflict = refusal(85, "IndexOptionsConflict")
    mongo_proxy.faults = [Fault("createIndexes", answer=conflict), Fault("collMod", answer={"ok": 1})]
    with pytest.raises(StoreUnavailable, match="IndexOptionsConflict, code 85"):
        make_store(mongo_proxy.port).attempts.add({"1": attempt(1)})
