"""Fixtures of the store's tests: stores as the service opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.mongo import Store, open_store
from tests.support.mongo_proxy import MongoProxy
from tests.support.store import StoreNode

DATABASE = "store"
MakeStore = Callable[..., Store]


@pytest.fixture
def make_store(store: StoreNode, tmp_path: Path) -> Iterator[MakeStore]:
    """Opens the store, or whatever forwards `port` to it."""
    opened: list[Store] = []

    def make(port: int = 0, **options: Any) -> Store:
        uri = f"mongodb://127.0.0.1:{port or store.port}/{DATABASE}"
        opened.append(open_store(uri, "a secret key for tests", tmp_path, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def direct(make_store: MakeStore) -> Store:
    """A store without anything in between."""
    return make_store()


@pytest.fixture
def broken(make_store: MakeStore, mongo_proxy: MongoProxy) -> Store:
    """A store behind the proxy, with a short deadline, whose indexes are made."""
    one = make_store(mongo_proxy.port, deadline=1.0)
    for collection in (one.consumers, one.attempts, one.audit, one.idempotency, one.heartbeats, one.replays):
        collection._collection()
    return one
