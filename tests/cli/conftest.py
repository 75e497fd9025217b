"""Fixtures of the command line's tests: one real service on the embedded broker and store, and a shell before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import create_app
from tests.api.client import Gunicorn, whole_service
from tests.api.conftest import end, settings_for
from tests.cli.no_service import NoService
from tests.cli.shell import Shell


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All on one worker: they share a service."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("cli"))


@pytest.fixture(scope="session")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """A service on another machine, so to speak."""
    with whole_service(tmp_path_factory.mktemp("remote")) as service:
        yield service


@pytest.fixture
def no_service(tmp_path: Path) -> Iterator[NoService]:
    """A service whose broker and store are away, and which may go away itself."""
    app = create_app(settings_for(tmp_path / "var"))
    service = NoService(app)
    service.start()
    yield service
    service.stop()
    end(app)


@pytest.fixture(scope="session")
def token(remote: Gunicorn) -> str:
    """The admin's."""
    return remote.login()


@pytest.fixture
def stranger(remote: Gunicorn, tmp_path: Path) -> Shell:
    """A shell of somebody who is not logged in."""
    return Shell(tmp_path, remote.url)


@pytest.fixture
def shell(stranger: Shell, token: str) -> Shell:
    """A shell with the admin's token in its environment."""
    stranger.environment["WORKERRMQ_API_KEY"] = token
    return stranger


@pytest.fixture
def queue(shell: Shell, unique_name: str) -> str:
    """A queue that is there."""
    shell.done("queues", "create", unique_name)
    return unique_name
