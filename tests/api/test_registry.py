"""The registry of consumers and the heartbeats, on a real store: what workers and the API rely on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from domain.auth import BearerAuth
from domain.consumer import ConsumerSpec
from domain.errors import Conflict, NotFound, StoreUnavailable
from domain.registry import ConsumerFilter, Heartbeat, Report
from domain.signing_secret import SigningSecret
from domain.url_template import UrlTemplate
from gateway.mongo import Store, open_store
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.secrets import KEY_FILE
from tests.support.processes import wait_until
from tests.support.store import StoreNode

SECRETS = [SigningSecret(f"whsec_canary{number}{'A' * 25}") for number in range(3)]
SPEC = ConsumerSpec(
    queue_name="orders",
    url="https://erp.example/orders",
    headers={"Authorization": "canary-header"},
    signing_secret=SECRETS[0],
)


@pytest.fixture
def opened(store: StoreNode, tmp_path: Path) -> Iterator[Store]:
    one = open_store(store.uri("registry"), "a key", tmp_path)
    yield one
    one.close()


@pytest.fixture
def registry(opened: Store) -> ConsumerRegistry:
    return opened.consumers


def spec(**changes: object) -> ConsumerSpec:
    return SPEC.model_copy(update=changes)


def test_a_consumer_comes_back_as_it_was_asked_for_named_after_its_queue(registry: ConsumerRegistry) -> None:
    created, new = registry.create(SPEC)
    assert new
    assert created.spec == spec(name="orders")
    assert (created.state, created.reason, created.revision) == ("enabled", None, 1)
    assert registry.get("orders") == registry.get(created.id) == created


def test_asking_again_for_the_same_changes_nothing(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    assert registry.create(SPEC) == (created, False)


def test_the_same_name_for_another_consumer_leaves_the_first_as_it_is(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    assert registry.create(spec(prefetch=3, signing_secret=None)) == (created, False)
    named_like_an_id, _ = registry.create(spec(name=created.id))
    assert registry.create(spec(name=created.id)) == (named_like_an_id, False)


def test_of_many_that_create_the_same_at_once_one_does(registry: ConsumerRegistry) -> None:
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: registry.create(SPEC), range(16)))
    assert sum(new for _, new in outcomes) == 1
    assert len({consumer.id for consumer, _ in outcomes}) == 1


def test_a_change_counts_the_revision_up_and_keeps_the_id(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    changed = registry.update(created.id, spec(prefetch=3))
    assert (changed.id, changed.revision, changed.spec.prefetch) == (created.id, 2, 3)
    assert changed == registry.get(created.id)


def test_changes_at_once_are_all_counted(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: registry.update(created.id, spec(prefetch=number)), range(1, 33)))
    assert registry.get(created.id).revision == 33


def test_a_name_that_is_taken_cannot_be_taken_by_a_change(registry: ConsumerRegistry) -> None:
    registry.create(SPEC)
    other, _ = registry.create(spec(name="other"))
    with pytest.raises(Conflict):
        registry.update(other.id, SPEC)
    assert registry.get("other") == other


def test_only_enabled_consumers_are_to_be_run(registry: ConsumerRegistry) -> None:
    first, _ = registry.create(spec(name="a"))
    second, _ = registry.create(spec(name="b"))
    registry.set_state(first.id, "paused")
    assert registry.desired() == [second]
    assert [one.id for one in [registry.set_state(first.id, "enabled"), second]] == [
        one.id for one in registry.desired()
    ]


def test_the_same_state_again_restarts_nothing(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    paused = registry.set_state(created.id, "paused")
    assert registry.set_state(created.id, "paused") == paused


def test_a_worker_does_not_suspend_a_consumer_that_was_changed(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    changed = registry.update(created.id, spec(prefetch=3))
    assert not registry.suspend(created.id, created.revision, "HTTP 404")
    assert registry.get(created.id) == changed
    assert registry.suspend(created.id, changed.revision, "HTTP 404")
    suspended = registry.get(created.id)
    assert (suspended.state, suspended.reason) == ("suspended", "HTTP 404")
    assert not registry.suspend(created.id, suspended.revision, "again")


def test_a_change_ends_a_suspension_but_not_a_pause(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    registry.suspend(created.id, 1, "HTTP 404")
    changed = registry.update(created.id, spec(url=UrlTemplate("https://erp.example/other")))
    assert (changed.state, changed.reason) == ("enabled", None)
    registry.set_state(created.id, "paused")
    assert registry.update(created.id, SPEC).state == "paused"


def test_a_signing_secret_that_is_replaced_holds_for_a_day_more(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    assert created.retiring_secrets == ()
    registry.update(created.id, spec(signing_secret=SECRETS[1]))
    changed = registry.update(created.id, spec(signing_secret=SECRETS[2], prefetch=3))
    assert registry.get(created.id) == changed
    assert [one.secret for one in changed.retiring_secrets] == [SECRETS[1], SECRETS[0]]
    for one in changed.retiring_secrets:
        assert timedelta(hours=23) < one.until - datetime.now(UTC) <= timedelta(hours=24)
    back = registry.update(created.id, spec(signing_secret=SECRETS[1]))
    assert [one.secret for one in back.retiring_secrets] == [SECRETS[2], SECRETS[0]]


def test_a_removed_signing_secret_is_invalid_at_once(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    registry.update(created.id, spec(signing_secret=SECRETS[1]))
    unsigned = registry.update(created.id, spec(signing_secret=None))
    assert (unsigned.spec.signing_secret, unsigned.retiring_secrets) == (None, ())


def test_a_deleted_consumer_is_not_found(registry: ConsumerRegistry) -> None:
    created, _ = registry.create(SPEC)
    registry.delete(created.id)
    for attempt in (
        lambda: registry.get(created.id),
        lambda: registry.update(created.id, SPEC),
        lambda: registry.set_state(created.id, "paused"),
        lambda: registry.delete(created.id),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert not registry.suspend(created.id, 1, "gone")


def test_lists_come_in_pages_with_the_total(registry: ConsumerRegistry) -> None:
    for number in range(5):
        registry.create(spec(name=f"c{number}", queue_name="even" if number % 2 == 0 else "odd"))
    page = registry.find(2, 2)
    assert ([one.spec.name for one in page.items], page.total) == (["c2", "c3"], 5)
    page = registry.find(wanted=ConsumerFilter(queue_name="odd"))
    assert ([one.spec.name for one in page.items], page.total) == (["c1", "c3"], 2)


def test_secrets_rest_sealed(registry: ConsumerRegistry, store: StoreNode) -> None:
    registry.create(SPEC)
    registry.create(spec(name="token", headers={}, auth=BearerAuth(type="bearer", token=SecretStr("canary-token"))))
    in_url, _ = registry.create(
        spec(name="in-url", headers={}, url=UrlTemplate("https://user:canary-password@erp.example/"))
    )
    assert registry.get("in-url") == in_url
    registry.update(in_url.id, spec(name="in-url", signing_secret=SECRETS[1]))

    def content() -> bytes:
        return b"".join(path.read_bytes() for path in store.process.log.parent.rglob("*") if path.is_file())

    wait_until(
        lambda: b"erp.example" in content(), 20, "the consumers in the files: mongo-java-server writes them later"
    )
    assert b"canary" not in content()


def test_under_another_key_a_consumer_is_suspended_and_says_why_and_a_rotated_key_still_reads(
    registry: ConsumerRegistry, store: StoreNode, tmp_path: Path
) -> None:
    created, _ = registry.create(SPEC)
    stranger = open_store(store.uri("registry"), "another key", tmp_path).consumers
    assert [one.state for one in stranger.desired()] == ["suspended"]
    seen = stranger.get("orders")
    assert seen.state == "suspended"
    assert "SECRET_KEY" in str(seen.reason)
    assert open_store(store.uri("registry"), "new key,a key", tmp_path).consumers.desired() == [created]


def test_without_a_key_all_processes_of_a_host_find_the_same_one(store: StoreNode, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        stores = list(threads.map(lambda _: open_store(store.uri("registry"), "", tmp_path / "var"), range(8)))
    created, _ = stores[0].consumers.create(SPEC)
    assert all(one.consumers.get("orders") == created for one in stores)
    assert [path.name for path in (tmp_path / "var").iterdir()] == [KEY_FILE]
    assert (tmp_path / "var" / KEY_FILE).stat().st_mode & 0o777 == 0o600


def heartbeat(worker: str, age: float = 0, **report: int) -> Heartbeat:
    now = datetime.now(UTC).replace(microsecond=0)
    reports = (Report("id", 1, "failing", error="HTTP 500", error_at=now, **report),)
    return Heartbeat(worker, now - timedelta(seconds=age), now, True, reports)


def test_a_heartbeat_replaces_the_one_before_and_comes_back_as_it_was(opened: Store) -> None:
    opened.heartbeats.beat(heartbeat("host:1", delivered=1))
    latest = heartbeat("host:1", delivered=2)
    opened.heartbeats.beat(latest)
    assert opened.heartbeats.live() == [latest]


def test_another_process_sees_every_change_and_reads_what_has_not_changed_no_second_time(
    opened: Store, store: StoreNode, tmp_path: Path
) -> None:
    reader = open_store(store.uri("registry"), "", tmp_path)
    for delivered in (1, 2):
        changed = heartbeat("host:1", delivered=delivered)
        opened.heartbeats.beat(changed)
        assert reader.heartbeats.live() == [changed]
        before = reader.heartbeats.live()[0].consumers
        opened.heartbeats.beat(changed)
        assert reader.heartbeats.live()[0].consumers is before
    reader.close()


def test_workers_of_another_release_are_understood_as_far_as_it_goes(opened: Store, store: StoreNode) -> None:
    """While one is rolled out: an older one sets no marks, a newer one reports what nobody here knows of."""
    now = datetime.now(UTC).replace(microsecond=0)
    with MongoClient[dict[str, Any]](store.uri("registry")) as client:
        database = client.get_default_database()
        database.heartbeats.insert_one({"_id": "other", "at": now, "started_at": now, "connected": True})
        for delivered in (1, 2):
            report = {"consumer_id": "id", "revision": 1, "state": "running", "delivered": delivered, "speed": 9}
            said = {"_id": "other", "at": now, "consumers": [report]}
            database.reports.replace_one({"_id": "other"}, said, upsert=True)
            (beat,) = opened.heartbeats.live()
            assert beat.consumers == (Report("id", 1, "running", delivered=delivered),)


def test_silent_and_departed_workers_are_not_live(opened: Store) -> None:
    opened.heartbeats.beat(heartbeat("silent", age=6))
    opened.heartbeats.beat(heartbeat("departed"))
    opened.heartbeats.beat(heartbeat("present"))
    opened.heartbeats.remove("departed")
    assert [one.worker for one in opened.heartbeats.live()] == ["present"]


def test_the_registry_reports_that_the_store_is_down_and_works_when_it_is_up_again(
    registry: ConsumerRegistry, store: StoreNode
) -> None:
    registry.create(SPEC)
    store.stop()
    with pytest.raises(StoreUnavailable):
        registry.desired()
    store.start()
    assert len(registry.desired()) == 1


def test_the_version_grows_with_every_change_and_with_nothing_else(registry: ConsumerRegistry) -> None:
    seen = [registry.version()]

    def changed() -> bool:
        seen.append(registry.version())
        return seen[-1] > seen[-2]

    created, _ = registry.create(SPEC)
    assert changed()
    registry.create(SPEC)
    registry.desired()
    assert not changed()
    registry.update(created.id, spec(prefetch=3))
    assert changed()
    registry.set_state(created.id, "paused")
    assert changed()
    registry.set_state(created.id, "paused")
    assert not changed()
    registry.delete(created.id)
    assert changed()


def test_the_version_grows_before_a_change_and_after_it(registry: ConsumerRegistry) -> None:
    before = registry.version()
    created, _ = registry.create(SPEC)
    assert registry.version() == before + 2
    registry.set_state(created.id, "paused")
    assert registry.version() == before + 4
    registry.delete(created.id)
    assert registry.version() == before + 6
