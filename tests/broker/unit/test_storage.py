"""The journal: confirmed messages survive, settled ones do not, and no other file is changed."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

import pytest

from broker.core.queue import Queue
from broker.journal_file import JournalFile, JournalRefused
from broker.recovery import recover
from broker.storage import Storage
from tests.broker.unit.world import Client, World

PERSISTENT = {"delivery_mode": 2}


class DiskWorld(World):
    """A world with a journal. `commit` writes the records; leaving it without `close` is a crash."""

    def __init__(self, directory: Path, rewrite: float = 1.0) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.storage = Storage(directory, rewrite)
        self.now = 1_000_000.0
        self.broker = recover(self.storage, self.now)
        if not self.broker.vhosts:
            self.broker.add_vhost("/")
            self.broker.add_user("guest", "guest")
            self.broker.permit("guest", "/")
        self.vhost = self.broker.vhosts["/"]
        self.storage.start(lambda: None, self._calls.put)

    def commit(self) -> None:
        """Wait until everything recorded so far is on disk."""
        done = threading.Event()
        self.storage.on_commit(done.set)
        self.storage.flush()
        while not done.is_set():
            self._calls.get(timeout=10)()

    def crash(self) -> None:
        """Drop everything that is not committed, as kill -9 does."""
        self.storage._reader.close()
        self.storage.file._db.close()
        self.storage.file._lock.close()


def rows(directory: Path, table: str) -> int:
    database = sqlite3.connect(directory / "journal.sqlite")
    count = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    database.close()
    return int(count)


def durable(world: World, name: str = "q", **options: object) -> Queue:
    return world.queue(name, durable=True, **options)


def again(world: DiskWorld, directory: Path) -> tuple[DiskWorld, Client]:
    """Start the next broker on the same directory after a crash."""
    world.crash()
    new = DiskWorld(directory)
    return new, new.client()


def test_durable_messages_and_definitions_survive_a_restart(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    client = world.client()
    durable(world, x_max_length=10)
    world.vhost.declare_exchange("x", "topic", durable=True)
    world.vhost.bind("x", "queue", "q", "a.#", {"n": 1})
    world.broker.add_user("eve", "pw", ("monitoring",))
    world.broker.permit("eve", "/", "c", "w", "r")
    client.publish("a.b", "1", "2", exchange="x", **PERSISTENT, headers={"h": [1.5, b"\xff", None]})
    client.publish("q", "transient")
    world.commit()
    world, client = again(world, tmp_path)
    queue = world.vhost.queue("q")
    assert (queue.arguments, queue.ready_count, queue.ready_bytes) == ({"x-max-length": 10}, 2, 2)
    entry = client.get("q")
    assert entry is not None
    assert (entry.message.body, entry.message.exchange, entry.message.routing_key) == (b"1", "x", "a.b")
    assert entry.message.headers == {"h": [1.5, b"\xff", None]}
    client.publish("a.z", "3", exchange="x")
    assert client.drain("q") == ["2", "3"]
    assert world.broker.authenticate("eve", "pw") is not None
    assert world.broker.users["eve"].permissions["/"].write == "w"
    world.storage.close()


def test_deleted_definitions_stay_deleted(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    durable(world)
    durable(world, "kept")
    world.vhost.bind("amq.direct", "queue", "kept", "k")
    world.client().publish("q", "x", **PERSISTENT)
    world.commit()
    world.vhost.delete_queue("q", world.now)
    world.vhost.unbind("amq.direct", "queue", "kept", "k")
    world.commit()
    assert (rows(tmp_path, "entry"), rows(tmp_path, "content")) == (0, 0)
    world, _ = again(world, tmp_path)
    assert set(world.vhost.queues) == {"kept"}
    assert len(list(world.vhost.bindings())) == 1
    world.storage.close()


def test_an_acked_message_stays_removed(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    client = world.client()
    durable(world)
    client.publish("q", "1", "2", "3", **PERSISTENT)
    world.commit()
    client.get("q")
    client.get("q")
    client.ack(1)
    world.commit()
    world, client = again(world, tmp_path)
    assert client.drain("q") == ["2", "3"]
    world.storage.close()


def test_a_confirm_comes_after_the_commit_and_not_before(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    client = world.client()
    durable(world)
    client.channel.confirm_select()
    client.publish("q", "1", **PERSISTENT)
    assert (client.channel.unconfirmed_count, client.sink.due) == (1, False)
    world.commit()
    client.channel.confirms.flush()  # type: ignore[union-attr]
    assert client.sink.confirms == [(1, False, True)]
    assert rows(tmp_path, "entry") == 1
    world.storage.close()


def test_a_message_settled_within_its_batch_is_never_written(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    client = world.client()
    durable(world)
    world.commit()
    client.consume("q", no_ack=True)
    client.publish("q", "1", **PERSISTENT)
    assert (world.storage._filling.entries, world.storage._filling.contents) == ({}, {})
    world.storage.close()


def test_one_body_is_stored_for_many_queues(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    client = world.client()
    for name in "abc":
        durable(world, name)
        world.vhost.bind("amq.fanout", "queue", name, "")
    client.publish("", "x", exchange="amq.fanout", **PERSISTENT)
    world.commit()
    assert (rows(tmp_path, "entry"), rows(tmp_path, "content")) == (3, 1)
    client.get("a", no_ack=True)
    client.get("b", no_ack=True)
    world.commit()
    assert (rows(tmp_path, "entry"), rows(tmp_path, "content")) == (1, 1)
    world, client = again(world, tmp_path)
    assert client.drain("c") == ["x"]
    world.commit()
    assert rows(tmp_path, "content") == 0
    world.storage.close()


def test_a_dead_letter_moves_in_one_batch(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    client = world.client()
    durable(world, "dead")
    durable(world, x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    client.publish("q", "x", **PERSISTENT)
    world.commit()
    client.get("q")
    before = world.storage.batch
    client.nack(1, requeue=False)
    assert world.storage.batch == before
    assert len(world.storage._filling.entries) == len(world.storage._filling.gone_entries) == 1
    world.commit()
    world, client = again(world, tmp_path)
    assert (client.drain("q"), client.drain("dead")) == ([], ["x"])
    world.storage.close()


def test_a_dead_letter_keeps_its_blind_copies_after_a_restart(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    durable(world, x_dead_letter_exchange="")
    durable(world, "hidden")
    world.client().publish("q", "x", headers={"BCC": ["hidden"], "n": 1}, **PERSISTENT)
    world.vhost.queues["hidden"].purge()
    world.commit()
    world, client = again(world, tmp_path)
    entry = client.get("q")
    assert entry is not None
    assert entry.message.headers == {"n": 1}
    client.nack(1, requeue=False)
    assert client.drain("hidden") == ["x"]
    world.storage.close()


def test_a_quorum_queue_stores_transient_messages_and_delivery_counts(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    client = world.client()
    durable(world, x_queue_type="quorum")
    client.publish("q", "x")
    client.get("q")
    client.nack(1, requeue=True)
    world.commit()
    client.get("q")
    client.nack(2, requeue=True)
    world.commit()
    world, client = again(world, tmp_path)
    entry = client.get("q")
    assert entry is not None
    assert (entry.message.body, entry.deliveries) == (b"x", 2)
    world.storage.close()


def test_a_message_requeued_to_the_end_of_a_quorum_queue_survives_a_restart(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    durable(world, x_queue_type="quorum")
    client = world.client()
    client.publish("q", "1", "2", "3")
    world.commit()
    client.get("q")
    client.nack(1, requeue=True)
    client.get("q")
    client.close()
    world.commit()
    world, client = again(world, tmp_path)
    assert client.drain("q") == ["2", "3", "1"]
    client.publish("q", "4", "5")
    client.get("q")
    client.close()
    assert client.drain("q") == ["4", "5"]
    world.storage.close()


@pytest.mark.parametrize("clean", [True, False])
def test_after_a_crash_any_message_may_have_been_delivered(tmp_path: Path, clean: bool) -> None:
    world = DiskWorld(tmp_path)
    durable(world)
    world.client().publish("q", "x", **PERSISTENT)
    world.commit()
    if clean:
        world.storage.close()
    else:
        world.crash()
    world = DiskWorld(tmp_path)
    entry = world.client().get("q")
    assert entry is not None
    assert entry.redelivered is not clean
    world.storage.close()


def test_messages_expire_while_the_broker_is_down(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    durable(world, x_message_ttl=1000)
    world.client().publish("q", "x", **PERSISTENT)
    world.commit()
    world, client = again(world, tmp_path)
    world.wait(2)
    assert client.get("q") is None
    world.storage.close()


@pytest.mark.parametrize("properties", [PERSISTENT, {}])
def test_bodies_above_the_limit_are_paged_out_and_in(tmp_path: Path, properties: dict[str, int]) -> None:
    world = DiskWorld(tmp_path)
    client = world.client()
    world.broker.pager.limit = 10_000
    queue = durable(world)
    bodies = [f"{number}" * 300 for number in range(100, 200)]
    for body in bodies:
        client.publish("q", body, **properties)
        world.commit()
    assert world.broker.pager.resident() <= 11_000
    assert sum(entry.message.body is None for entry in queue.ready) > 80
    assert client.drain("q") == bodies
    assert queue.paged_bodies.bytes == 0
    world.commit()
    assert rows(tmp_path, "content") == 0
    world.storage.close()


def test_paged_out_transient_messages_do_not_outlive_the_broker(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    world.broker.pager.limit = 10
    durable(world)
    world.client().publish("q", "x" * 100)
    world.commit()
    assert rows(tmp_path, "content") == 1
    world, client = again(world, tmp_path)
    assert client.drain("q") == []
    assert rows(tmp_path, "content") == 0
    world.storage.close()


def test_without_a_disk_too_many_bodies_raise_an_alarm() -> None:
    world = World()
    pressure: list[bool] = []
    world.broker.pager.limit = 100
    world.broker.pager.on_pressure = pressure.append
    world.queue("q")
    client = world.client()
    client.publish("q", *["x" * 50] * 5)
    assert pressure == [True]
    client.drain("q")
    assert pressure == [True, False]


@pytest.mark.parametrize("content", [b"something else", b"SQLite format 3\0" + bytes(4096)])
def test_a_file_that_is_no_journal_is_refused_and_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(content)
    with pytest.raises(JournalRefused, match=r"journal\.sqlite"):
        JournalFile(tmp_path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "journal.sqlite")
    database.execute("CREATE TABLE theirs(x)")
    database.commit()
    database.close()
    with pytest.raises(JournalRefused, match="of another program"):
        JournalFile(tmp_path)


def test_a_damaged_journal_is_refused_and_unchanged(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    durable(world)
    for number in range(200):
        world.client().publish("q", f"{number}" * 200, **PERSISTENT)
    world.commit()
    world.storage.close()
    path = tmp_path / "journal.sqlite"
    damaged = bytearray(path.read_bytes())
    damaged[8192:] = bytes(byte ^ 0x5A for byte in damaged[8192:])
    path.write_bytes(damaged)
    with pytest.raises(JournalRefused):
        Storage(tmp_path)
    assert path.read_bytes() == damaged


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    with pytest.raises(JournalRefused, match="in use by another broker"):
        Storage(tmp_path)
    world.storage.close()


def test_each_failure_of_the_disk_delays_confirms_and_is_reported(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path, rewrite=0.01)
    durable(world)
    world.commit()
    trouble: SimpleQueue[bool] = SimpleQueue()
    world.storage.on_failing = trouble.put
    for _ in range(3):
        client = world.client()
        client.channel.confirm_select()
        world.storage.file._db.execute("PRAGMA max_page_count=1")
        client.publish("q", "x" * 100_000, **PERSISTENT)
        world.storage.flush()
        world._calls.get(timeout=10)()
        assert trouble.get_nowait()
        assert client.channel.unconfirmed_count == 1
        world.storage.file._db.execute("PRAGMA max_page_count=1000000")
        while client.channel.unconfirmed_count and not client.sink.due:
            world._calls.get(timeout=10)()
        assert not trouble.get_nowait()
    world.storage.close()


def test_a_confirm_waits_for_the_dead_letter_copy(tmp_path: Path) -> None:
    world = DiskWorld(tmp_path)
    client = world.client()
    durable(world, "dead")
    durable(world, x_max_length=0, x_dead_letter_exchange="", x_dead_letter_routing_key="dead")
    client.channel.confirm_select()
    client.publish("q", "x", **PERSISTENT)
    assert not client.sink.due
    world.commit()
    assert client.sink.due
    world.storage.close()


@pytest.mark.parametrize("properties", [PERSISTENT, {}])
@pytest.mark.parametrize("second_is_durable", [True, False])
def test_a_paged_out_body_is_read_for_every_queue(tmp_path: Path, properties: dict[str, int],
                                                            second_is_durable: bool) -> None:  # fmt: skip
    world = DiskWorld(tmp_path)
    client = world.client()
    world.broker.pager.limit = 10
    durable(world, "one")
    world.queue("two", durable=second_is_durable)
    for name in ("one", "two"):
        world.vhost.bind("amq.fanout", "queue", name, "")
    client.publish("", "x" * 100, exchange="amq.fanout", **properties)
    world.commit()
    world.broker.pager.check()
    world.commit()
    world.broker.pager.check()
    assert client.drain("one") == ["x" * 100]
    world.commit()
    assert client.drain("two") == ["x" * 100]
    world.storage.close()
