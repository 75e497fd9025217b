"""Clusters of three nodes, one at a time, because three nodes want memory; the tests of a version share one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster
from tests.support.programs import unavailable
from tests.support.rabbitmq_programs import RABBITMQ, RABBITMQ4


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
