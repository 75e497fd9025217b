"""Installations: the first one of a session is set up by run.sh itself, the others share its virtual environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All on one worker: they share an installation, and the usual ports of the machine."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("run"))


@pytest.fixture(scope="session")
def first_installation() -> Iterator[Installation]:
    """A fresh copy that run.sh has set up and started, as the README says, with nothing prepared."""
    installation = Installation()
    try:
        installation.start(timeout=300)
        yield installation
    finally:
        installation.remove()


@pytest.fixture
def installation(first_installation: Installation) -> Iterator[Installation]:
    """A fresh copy, not started, whose requirements are installed."""
    installation = Installation()
    installation.share_venv(first_installation)
    try:
        yield installation
    finally:
        installation.remove()


@pytest.fixture(scope="module")
def running_installation(first_installation: Installation) -> Iterator[Installation]:
    """A fresh copy that runs while the tests of a module harm its parts."""
    installation = Installation()
    installation.share_venv(first_installation)
    try:
        installation.start()
        yield installation
    finally:
        installation.remove()
