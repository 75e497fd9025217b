"""A connection of the emulator that no other test shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulators.kombu_emulator import Channel, Connection


@pytest.fixture
def connection(unique_name: str) -> Iterator[Connection]:
    """A connection to a separate virtual host; disconnected afterwards."""
    with Connection(virtual_host=unique_name) as one:
        yield one


@pytest.fixture
def channel(connection: Connection) -> Channel:
    """A channel of it."""
    return connection.channel()
