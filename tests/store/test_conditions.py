"""Conditions and their outbox in the store: of several processes one records a change, and one observes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from domain.condition import Condition, Event, Key
from domain.errors import StoreUnavailable
from gateway.mongo import Store
from tests.store.conftest import MakeStore
from tests.support.mongo_proxy import Fault, MongoProxy

KEY = Key("breaker.opened", "0123 of a name with spaces")
BEGUN = Event("i.begun", "breaker.opened", False, "i", 1800000000.25, 1800000000.25, "orders", "orders", "It is open.")
RAISED = Condition(raised=True, begun=BEGUN, outbox=(BEGUN,))


def test_a_condition_comes_back_as_it_was_stored(direct: Store) -> None:
    ended = replace(BEGUN, id="i.ended", ended=True, queue_name=None)
    stored = replace(RAISED, level=7, turning_since=1800000000.125, outbox=(BEGUN, ended))
    assert direct.conditions.put(KEY, stored)
    assert direct.conditions.all() == {KEY: replace(stored, revision=1)}


def test_of_processes_that_record_a_change_at_the_same_time_one_succeeds(make_store: MakeStore) -> None:
    stores = [make_store() for _ in range(4)]
    for revision in range(5):
        changes = [replace(RAISED, level=number, revision=revision) for number in range(4)]
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(lambda store, change: store.conditions.put(KEY, change), stores, changes))
        assert sum(results) == 1
        assert stores[0].conditions.all()[KEY] == replace(changes[results.index(True)], revision=revision + 1)


def test_nothing_remains_of_a_condition_that_is_over_and_told(direct: Store) -> None:
    direct.conditions.put(KEY, RAISED)
    assert not direct.conditions.put(KEY, Condition(revision=7))
    assert direct.conditions.put(KEY, Condition(revision=1))
    assert direct.conditions.all() == {}


def test_one_process_observes_until_it_stops_or_its_lease_is_over(make_store: MakeStore) -> None:
    one, other = make_store().conditions, make_store().conditions
    assert one.claim("one", 100, 30) == 0
    assert other.claim("other", 129, 30) is None
    assert one.claim("one", 129, 30) == 100
    assert other.claim("other", 158, 30) is None, "it was renewed"
    assert other.claim("other", 159, 30) == 129
    assert one.claim("one", 160, 30) is None
    other.release("other")
    assert one.claim("one", 161, 30) == 159
    one.release("one", observed=159)
    assert other.claim("other", 162, 30) == 159, "one could not observe"
    one.release("one")
    assert one.claim("one", 163, 30) is None, "it has no lease to give back"


def test_of_processes_that_claim_at_the_same_time_one_observes(make_store: MakeStore) -> None:
    stores = [make_store() for _ in range(4)]
    for now in range(100, 600, 100):
        with ThreadPoolExecutor(4) as threads:
            claims = list(threads.map(lambda store: store.conditions.claim(str(id(store)), now, 30), stores))  # noqa: B023
        assert sum(claim is not None for claim in claims) == 1


def test_a_lease_from_a_clock_that_is_far_ahead_does_not_keep_others_out(direct: Store) -> None:
    direct.conditions.claim("one", 1_000_000, 30)
    assert direct.conditions.claim("other", 100, 30) is not None


def test_a_change_whose_answer_is_lost_is_read_again_before_it_is_repeated(
    broken: Store, direct: Store, mongo_proxy: MongoProxy
) -> None:
    mongo_proxy.faults = [Fault("insert", "conditions", lost=True)]
    with pytest.raises(StoreUnavailable):
        broken.conditions.put(KEY, RAISED)
    mongo_proxy.faults = []
    assert not broken.conditions.put(KEY, RAISED)
    assert direct.conditions.all() == {KEY: replace(RAISED, revision=1)}
