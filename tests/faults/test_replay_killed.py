"""A replay of dead letters whose process is killed: nothing is lost, and the next replay goes on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.api.client import Gunicorn
from tests.faults.scene import ids_in, publish
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode

COUNT = 3000
BATCH = 200
"""Dead letters that are confirmed in their queue before any of them is acked."""


def test_a_replay_that_is_killed_has_lost_nothing_and_another_goes_on(
    broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str
) -> None:
    letters = f"{unique_name}.dlq"
    publish(broker, unique_name, 0)
    accepted = publish(broker, letters, COUNT)
    server = Gunicorn(tmp_path, {**broker.settings, "MONGO_URI": store.uri("replay")})

    def begin(**options: float) -> str:
        wait_until(lambda: server.call("GET", "/health/ready").ok, 20, "readiness")
        answer = server.call("POST", "/replayDeadLetters", token, json={"queueName": unique_name, **options})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["replayId"])

    def progress(identity: str) -> dict[str, Any]:
        found: dict[str, Any] = server.call("GET", "/getReplay", token, params={"replayId": identity}).json()
        return found

    server.start()
    token = server.login()
    try:
        first = begin(perSecond=1000)
        wait_until(lambda: progress(first)["replayed"] >= COUNT // 3, 20, "a third being replayed")
        server.process.kill()
        there, left = ids_in(broker, unique_name), ids_in(broker, letters)
        assert left, "it was killed in the middle"
        assert accepted == {*there, *left}
        assert (there + left).total() - COUNT <= BATCH
        server.start()
        second = begin()
        wait_until(lambda: progress(second)["state"] == "finished", 30, "the second replay")
        assert progress(first)["replayed"] < COUNT
    finally:
        server.process.kill()
    back: Counter[str] = ids_in(broker, unique_name)
    assert accepted == {*back}
    assert back.total() - COUNT <= BATCH
    assert not ids_in(broker, letters)
