"""Clusters of three nodes, one at a time, because three nodes want memory; the tests of a version share one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.programs import unavailable
from tests.support.rabbitmq_programs import RABBITMQ, RABBITMQ4


@pytest.hookimpl(trylast=True)  # pytest orders by the position of a parameter, which differs between the tests
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of a version one after the other, so that each cluster starts once."""
    places = [place for place, item in enumerate(items) if Path(__file__).parent in item.path.parents]
    ours = sorted((items[place] for place in places), key=_version, reverse=True)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def _version(item: pytest.Item) -> str:
    assert isinstance(item, pytest.Function)
    return str(item.callspec.params["cluster"])


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes of the RabbitMQ that the test names, which it may kill and suspend."""
    programs = {one.name: one for one in (RABBITMQ, RABBITMQ4)}[request.param]
    if programs.missing:
        unavailable(programs.name.upper(), programs.missing)
    with Cluster(tmp_path_factory.mktemp("cluster"), programs) as one:
        yield one


@pytest.fixture(autouse=True)
def as_new(cluster: Cluster) -> Iterator[None]:
    """Leave the next test a cluster of three running nodes, and empty."""
    yield
    cluster.reset()
