"""Clusters of three nodes. A test that takes one runs alone among those of its kind: three nodes want memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.programs import unavailable
from tests.support.rabbitmq_programs import RABBITMQ, RABBITMQ4


@pytest.fixture
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes of RabbitMQ 4, or of the programs that the test names, which it may kill and suspend."""
    programs = {one.name: one for one in (RABBITMQ, RABBITMQ4)}[getattr(request, "param", RABBITMQ4.name)]
    if programs.missing:
        unavailable(programs.name.upper(), programs.missing)
    with Cluster(tmp_path / "cluster", programs) as one:
        yield one
