"""A replica set elects another primary: the service follows it without a restart.

Two proxies before one store answer as its members would (https://www.mongodb.com/docs/manual/reference/command/hello/),
because no MongoDB can be installed from the packages here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson import ObjectId

from domain.consumer import ConsumerSpec
from domain.errors import StoreUnavailable
from gateway.mongo import Store, open_store
from tests.support.mongo_proxy import Command, Fault, MongoProxy, refusal
from tests.support.processes import wait_until
from tests.support.store import StoreNode

WRITES_AND_READS = ("insert", "update", "delete", "findAndModify", "find", "aggregate", "createIndexes")
SPEC = ConsumerSpec(queue_name="orders", url="https://erp.example/orders")


class ReplicaSet:
    """Its members have the same documents; at most one is the primary."""

    def __init__(self, stack: ExitStack, port: int) -> None:
        self.members = [stack.enter_context(MongoProxy(port)) for _ in range(2)]
        self._elections = 0

    @property
    def uri(self) -> str:
        return f"mongodb://{','.join(map(_address, self.members))}/failover?replicaSet=rs0"

    def elect(self, primary: MongoProxy | None) -> None:
        """Make a member the primary. Without one, all refuse reads and writes, as during an election."""
        self._elections += primary is not None
        for member in self.members:
            said = self._hello(member, primary)
            refused = () if member is primary else WRITES_AND_READS
            member.faults = [
                *(Fault(name, answer=said) for name in ("hello", "ismaster", "isMaster")),
                *(Fault(name, answer=refusal(10107, "NotWritablePrimary")) for name in refused),
            ]

    def _hello(self, member: MongoProxy, primary: MongoProxy | None) -> Command:
        known = {"primary": _address(primary), "electionId": ObjectId(f"{self._elections:024x}")} if primary else {}
        return {
            "ok": 1,
            "isWritablePrimary": member is primary,
            "ismaster": member is primary,
            "secondary": member is not primary,
            "setName": "rs0",
            "setVersion": 1,
            "hosts": [_address(one) for one in self.members],
            "me": _address(member),
            "maxBsonObjectSize": 16 << 20,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "localTime": datetime.now(UTC),
            "minWireVersion": 0,
            "maxWireVersion": 9,
            **known,
        }


def _address(member: MongoProxy) -> str:
    return f"127.0.0.1:{member.port}"


@pytest.fixture
def replica_set(store: StoreNode) -> Iterator[ReplicaSet]:
    with ExitStack() as stack:
        yield ReplicaSet(stack, store.port)


@pytest.fixture
def followed(replica_set: ReplicaSet, tmp_path: Path) -> Iterator[Store]:
    """The replica set, as the service opens it."""
    one = open_store(replica_set.uri, "a secret key for tests", tmp_path)
    yield one
    one.close()


def test_changes_fail_during_an_election_and_go_to_the_new_primary_after_it(
    replica_set: ReplicaSet, followed: Store
) -> None:
    old, new = replica_set.members
    replica_set.elect(old)
    followed.consumers.create(SPEC)
    replica_set.elect(None)
    with pytest.raises(StoreUnavailable) as refused:
        followed.consumers.create(SPEC.model_copy(update={"name": "second"}))
    assert refused.value.retry_after, "the answer is 503 with Retry-After"
    with pytest.raises(StoreUnavailable):
        followed.ping()

    replica_set.elect(new)

    def created() -> bool:
        try:
            return bool(followed.consumers.create(SPEC.model_copy(update={"name": "third"})))
        except StoreUnavailable:
            return False

    wait_until(created, 20, "the new primary being used")
    followed.ping()
    assert any("insert" in command or "update" in command or "findAndModify" in command for command in new.seen)


def test_the_other_members_are_found_from_one_that_is_up(
    replica_set: ReplicaSet, store: StoreNode, tmp_path: Path
) -> None:
    secondary, primary = replica_set.members
    replica_set.elect(primary)
    uri = f"mongodb://{_address(secondary)}/failover?replicaSet=rs0"
    one = open_store(uri, "a secret key for tests", tmp_path)
    try:
        one.ping()
        assert one.consumers.create(SPEC)
    finally:
        one.close()
