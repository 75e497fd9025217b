"""The launcher says which of the programs that it starts, or of the operator's servers, it waits for."""

from __future__ import annotations

import json

import pytest

from launcher.api import Api

DOWN = {"up": False, "detail": "not connected yet."}
UP = {"up": True, "detail": None}


@pytest.mark.parametrize(
    ("programs", "dependencies", "sentence"),
    [
        (
            {"web", "broker", "store"},
            {"store": UP, "broker": DOWN, "management": DOWN},
            "the embedded broker is starting",
        ),
        ({"web", "store"}, {"store": DOWN}, "the embedded store is starting"),
        ({"web", "store"}, {"store": UP, "broker": DOWN}, "RabbitMQ (RABBITMQ_URL) is down: not connected yet"),
        ({"web", "broker"}, {"consumers": DOWN}, "consumers is down: not connected yet"),
    ],
)
def test_an_embedded_server_is_starting_and_another_one_is_down(
    programs: set[str], dependencies: dict[str, object], sentence: str
) -> None:
    api = Api("http://127.0.0.1:5000", programs)
    api.last = json.dumps({"dependencies": dependencies})
    assert api.down() == sentence
