"""Installations: run.sh sets up the first one of a session, the others share its virtual environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all on one worker: they share an installation and the machine's usual ports. The first one installs it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("run"))
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def first_installation() -> Iterator[Installation]:
    """Set up and start a fresh copy with run.sh, as the README says."""
    installation = Installation()
    try:
        installation.start(timeout=300)
        yield installation
    finally:
        installation.remove()


@pytest.fixture
def installation(first_installation: Installation) -> Iterator[Installation]:
    """Make a fresh copy with installed requirements, not started."""
    installation = Installation()
    installation.share_venv(first_installation)
    try:
        yield installation
    finally:
        installation.remove()


@pytest.fixture(scope="module")
def running_installation(first_installation: Installation) -> Iterator[Installation]:
    """Start a fresh copy for the tests of a module, which kill its programs."""
    installation = Installation()
    installation.share_venv(first_installation)
    try:
        installation.start()
        yield installation
    finally:
        installation.remove()
