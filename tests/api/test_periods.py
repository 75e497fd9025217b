"""Each period that the API and the store's collections have: a test that lives through several of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import bcrypt
import pytest
from pymongo import MongoClient

from domain.api_key import CreateApiKey
from domain.errors import StoreUnavailable, Throttled, Unauthenticated
from domain.registry import Heartbeat, Report
from domain.user import User
from gateway.mongo import Store, open_store
from gateway.mongo.collection import Document
from gateway.mongo.heartbeats import Heartbeats
from runtime.revocation_counter import RevocationCounter
from services.api_keys import ApiKeys
from services.first_admin import FirstAdmin
from services.fresh import Fresh
from services.health import Health
from services.login import MAX_FAILURES, Login
from services.registry_copy import RegistryCopy
from tests.support.processes import wait_until
from tests.support.store import StoreNode

PASSWORD = "correct horse battery"


@pytest.fixture
def opened(store: StoreNode, tmp_path: Path) -> Iterator[Store]:
    """A store with the user `carol`."""
    one = open_store(store.uri("periods"), "a key", tmp_path)
    now = datetime.now(UTC)
    one.users.add(
        User("carol", "viewer", bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode(), "stamp", now, now)
    )
    yield one
    one.close()


def login_of(host: Path, store: Store, **periods: Any) -> Login:
    """The logins of a process on a separate host."""
    revocations = RevocationCounter(host / "epoch")
    return Login(
        store, revocations, ApiKeys(store, revocations), FirstAdmin(store, "admin", PASSWORD, print), 3600, **periods
    )


def knows(login: Login, token: str) -> bool:
    try:
        return login.principal(token).username == "carol"
    except Unauthenticated:
        return False


def test_a_login_that_is_cached_holds_over_many_periods_and_ends_within_one_of_its_revocation(
    opened: Store, tmp_path: Path
) -> None:
    here, there = (login_of(tmp_path / name, opened, cached=0.3) for name in ("here", "there"))
    for _ in range(3):
        token, _grant, _user = here.login("carol", PASSWORD, "1.2.3.4")
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert knows(there, token)
        here.logout(token)
        assert not knows(here, token)
        wait_until(lambda token=token: not knows(there, token), 20)


def test_wrong_passwords_are_forgotten_after_each_window(opened: Store, tmp_path: Path) -> None:
    login = login_of(tmp_path, opened, failure_window=timedelta(seconds=5))

    def refused(password: str) -> type[Exception] | None:
        try:
            login.login("carol", password, "1.2.3.4")
        except (Throttled, Unauthenticated) as exc:
            return type(exc)
        return None

    for _ in range(3):
        assert [refused("wrong") for _ in range(MAX_FAILURES + 1)] == [Unauthenticated] * MAX_FAILURES + [Throttled]
        assert refused(PASSWORD) is Throttled
        wait_until(lambda: refused(PASSWORD) is None, 20, "the window having ended")


def test_the_last_use_of_a_key_is_noted_in_every_period_and_not_more_often(opened: Store, tmp_path: Path) -> None:
    period = timedelta(seconds=0.5)
    keys = ApiKeys(opened, RevocationCounter(tmp_path / "epoch"), noted_every=period)
    secret, _ = keys.create(CreateApiKey(name="shop", role="viewer"), "admin")
    noted: set[datetime] = set()
    until = time.monotonic() + 2.2
    while time.monotonic() < until:
        keys.owner(secret)
        noted |= {one.last_used_at for one in opened.api_keys.all() if one.last_used_at}
    assert 3 <= len(noted) <= 5
    times = sorted(noted)
    assert all(later - earlier >= period for earlier, later in itertools.pairwise(times))


def test_workers_are_live_through_many_periods_forgotten_when_silent_and_come_back(store: StoreNode) -> None:
    report = Report("id", 1, "running")
    with MongoClient[Document](store.uri("periods"), tz_aware=True) as client:
        database = client["periods"]

        def reader() -> Heartbeats:
            return Heartbeats(database, live_for=1, repeated_every=0.4, forgotten_after=1)

        writer = reader()
        for _ in range(3):
            began = datetime.now(UTC)
            until = time.monotonic() + 2.5
            while time.monotonic() < until:
                writer.beat(Heartbeat("w", datetime.now(UTC), began, True, (report,)))
                assert [beat.consumers for beat in reader().live()] == [(report,)]
            wait_until(lambda: not reader().live(), 20, "its silence being noticed")
            if store.expires:
                wait_until(lambda: not list(database["reports"].find()), 20, "its reports being forgotten")


def test_a_value_is_read_once_in_each_period_and_forgotten_while_it_cannot_be_read() -> None:
    reads: list[float] = []
    down = Event()

    def read() -> int:
        if down.is_set():
            raise StoreUnavailable("down")
        reads.append(time.monotonic())
        return len(reads)

    fresh = Fresh(read, "test-fresh", kept=0.2, forgotten=0.6)

    def latest() -> int | None:
        fresh.ask()
        return fresh.latest(time.monotonic() + 1)

    for _ in range(3):
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert latest()
        down.set()
        assert latest(), "the old value stands for a while"
        wait_until(lambda: latest() is None, 20)
        down.clear()
    assert all(later - earlier > 0.19 for earlier, later in itertools.pairwise(reads))
    assert len(reads) >= 9
    fresh.close()


def test_a_copy_of_the_registry_is_read_again_in_each_period_and_at_each_version() -> None:
    version, reads = [1], [0]

    def read() -> int:
        reads[0] += 1
        return reads[0]

    copy = RegistryCopy(lambda: version[0], read, read_again=0.2)
    for number in range(1, 4):
        assert copy.now() == number
        assert copy.now() == number
        wait_until(lambda number=number: copy.now() == number + 1, 20)
    before = copy.now()
    version[0] = 2
    assert copy.now() == before + 1


def test_a_probe_that_hangs_over_several_looks_runs_once_and_counts_again_when_it_ends() -> None:
    answers, runs = Event(), [0]

    def probe() -> None:
        runs[0] += 1
        answers.wait(30)

    health = Health({"store": probe}, lambda: None, timeout=0.1)

    def up() -> bool:
        (found,) = health.look().dependencies.values()
        assert found.up or found.detail == "no answer within 0.1 s"
        return found.up

    for _ in range(3):
        wait_until(lambda: not up(), 20)
        hanging = runs[0]
        assert [up() for _ in range(3)] == [False] * 3
        assert runs[0] == hanging
        answers.set()
        wait_until(up, 20)
        answers.clear()
    answers.set()
