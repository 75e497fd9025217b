"""Fixtures for tests of the broker's parts."""

from __future__ import annotations

import pytest

from tests.broker.unit.world import Client, World


@pytest.fixture
def world() -> World:
    """A broker in memory."""
    return World()


@pytest.fixture
def client(world: World) -> Client:
    """A client of it."""
    return world.client()
