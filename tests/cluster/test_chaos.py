"""Nodes of a cluster that are killed, suspended and restarted in turn, under load: nothing is lost, without help."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.deployment import deployed
from tests.support.processes import wait_until
from tests.support.rabbitmq import RabbitNode
from tests.support.target import Target
from tests.support.traffic import Publisher, take_ids

QUEUES = ("orders", "invoices")
SUSPENDED = 15.0  # seconds: longer than the cluster takes to notice

pytestmark = pytest.mark.xdist_group("cluster")


def faults(cluster: Cluster, seconds: float) -> Iterator[tuple[str, RabbitNode]]:
    """A kill and a suspension, each of another node; more of them in turn until the time is up."""
    until = time.monotonic() + seconds
    nodes = itertools.cycle(cluster.nodes)
    for kind in itertools.cycle(("kill", "suspend")):
        yield kind, next(nodes)
        if kind == "suspend" and time.monotonic() > until:
            return


@pytest.mark.parametrize(
    ("cluster", "long"),
    [
        ("rabbitmq4", False),
        pytest.param("rabbitmq4", True, marks=pytest.mark.soak),
        pytest.param("rabbitmq", True, marks=pytest.mark.soak),
    ],
    indirect=["cluster"],
)
@pytest.mark.timeout(0)  # every wait below is bounded
def test_no_message_is_lost_while_nodes_are_killed_and_suspended_in_turn(
    cluster: Cluster, long: bool, target: Target, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seconds = 60 * request.config.getoption("--minutes") if long else 0
    with ExitStack() as stack:
        service = stack.enter_context(deployed(tmp_path / "service", cluster.settings))
        for queue in QUEUES:
            service.done("/createQueue", queueName=queue, type="quorum")
            # A third fail at first and so wait in the delay levels; one in a hundred is dead-lettered.
            retry = {"schedule": [1, 2, 5], "jitter": 0}
            url, breaker = target.url("/random?fail=0.33"), {"failures": 1000}
            service.done("/createConsumer", queueName=queue, url=url, retry=retry, breaker=breaker)
        publishers = [Publisher(service, queue, 5, partial(_message, queue)) for queue in QUEUES]
        for one in publishers:
            stack.callback(one.stop)

        def accepted() -> set[str]:
            return {identity for one in publishers for identity in set(one.accepted)}

        def failures() -> Counter[str]:
            return sum((one.failures for one in publishers), Counter[str]())

        def goes_on() -> None:
            """Publishing and delivering: 20 more of each."""
            published, delivered, failed = len(accepted()), len(target.delivered()), failures()
            with explained(lambda: failures() - failed):
                wait_until(lambda: len(accepted()) >= published + 20, 120, "publishing going on")
            wait_until(lambda: len(target.delivered()) >= delivered + 20, 120, "deliveries going on")

        goes_on()
        for kind, node in faults(cluster, seconds):
            began = time.monotonic()
            print(f"{kind} {node.node_name} after {len(accepted())} messages")
            if kind == "kill":
                node.kill()
            else:
                node.suspend()
            goes_on()
            if kind == "suspend":
                wait_until(partial(_passed, began + SUSPENDED), SUSPENDED + 1)
            cluster.revive(node)
            goes_on()
        for one in publishers:
            one.stop()

        dead: set[str] = set()

        def lost() -> set[str]:
            for queue in QUEUES:
                dead.update(take_ids(cluster.nodes[0], f"{queue}.dlq"))
            return accepted() - set(target.delivered()) - dead

        with explained(lambda: (lost(), held(cluster.nodes[0]))):
            wait_until(lambda: not lost(), 180, "every accepted message delivered or dead-lettered")
        delivered = target.delivered()
        twice = delivered.total() - len(delivered)
        print(f"{len(accepted())} accepted, {len(delivered)} delivered, {len(dead)} dead-lettered, {twice} duplicates")
        print(f"{failures().total()} publishes failed: {failures()}")


@contextmanager
def explained(facts: Callable[[], object]) -> Iterator[None]:
    """Add facts to the message of a wait that ends in vain."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{error}: {facts()}") from None


def held(node: RabbitNode) -> dict[str, tuple[int, int]]:
    """The messages of each queue, and those of them that its dead-letter worker holds."""
    queues = node.management.get("queues").json()
    return {one["name"]: (one.get("messages", 0), one.get("messages_dlx", 0)) for one in queues}


def _passed(when: float) -> bool:
    return time.monotonic() > when


def _message(queue: str, number: int) -> dict[str, object]:
    return {"queueName": queue, "message": {"number": number}}
