"""Fixtures for the broker's unit tests."""

from __future__ import annotations

import pytest

from tests.broker.unit.world import Client, World


@pytest.fixture
def world() -> World:
    """Make a broker in memory."""
    return World()


@pytest.fixture
def client(world: World) -> Client:
    """Make a client of it."""
    return world.client()
