"""Fixtures of the whole suite: real servers, each started once per test process and made as new after every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.embedded import EmbeddedNode
from tests.support.mongo_proxy import MongoProxy
from tests.support.node import BrokerNode
from tests.support.programs import unavailable
from tests.support.proxy import Proxy
from tests.support.rabbitmq import RabbitNode
from tests.support.rabbitmq_programs import RABBITMQ, RABBITMQ4, Programs
from tests.support.server import running
from tests.support.store import StoreNode, store_to_test
from tests.support.target import Target

# Hypothesis measures how long examples take, which depends on the load of the machine.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A shell that runs the suite in the background ignores SIGINT, and nohup ignores SIGHUP. The programs that the tests
# start would inherit that, and would not stop by these signals.
for _number, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)


BROKERS = ("embedded", "rabbitmq", "rabbitmq4")
REAL_BROKERS = BROKERS[1:]
BY_MARK = {"versions": BROKERS, "broker_independent": BROKERS[:1]}
"""The brokers that a test runs on by default, by its mark."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --brokers, which runs every test that takes a broker on those named, and --minutes of the soaks."""
    parser.addoption("--brokers", help=f"comma-separated, of: {', '.join(BROKERS)}; or `all`")
    parser.addoption("--minutes", type=float, default=30, help="how long a soak injects faults (default: 30)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes a broker, and does not name its own, on each broker in turn: by default on the embedded
    one and on RabbitMQ 3.10, or on those that its mark chooses."""
    if "broker" not in metafunc.fixturenames or _names_its_brokers(metafunc.definition):
        return
    chosen = metafunc.config.getoption("--brokers")
    if chosen:
        brokers = BROKERS if chosen == "all" else tuple(chosen.split(","))
    else:
        marks = (mark.name for mark in metafunc.definition.iter_markers())  # a test's own before its module's
        brokers = next((BY_MARK[name] for name in marks if name in BY_MARK), BROKERS[:2])
    metafunc.parametrize("broker", brokers, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests in tests/faults. They take a minute each; at the end, they would run alone."""
    items.sort(key=lambda item: "faults" not in item.path.parts)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Let each process of `--dist loadgroup` keep to one RabbitMQ."""
    if config.getoption("dist") != "loadgroup":
        return None
    from tests.support.scheduling import BrokerScheduling

    return BrokerScheduling(config, log)


def _names_its_brokers(test: pytest.Item) -> bool:
    return any("broker" in marker.args[0] for marker in test.iter_markers("parametrize"))


def _start(programs: Programs, directory: Path) -> Iterator[RabbitNode]:
    if programs.missing:
        unavailable(programs.name.upper(), programs.missing)
    with running(RabbitNode(directory, programs)) as node:
        yield node


@pytest.fixture(scope="session")
def rabbitmq_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """RabbitMQ for the session; skipped where it is not installed, unless REQUIRE_RABBITMQ=1 forbids that."""
    yield from _start(RABBITMQ, tmp_path_factory.mktemp("rabbitmq"))


@pytest.fixture(scope="session")
def rabbitmq4_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """RabbitMQ 4 for the session; skipped where its root is missing, unless REQUIRE_RABBITMQ4=1 forbids that."""
    yield from _start(RABBITMQ4, tmp_path_factory.mktemp("rabbitmq4"))


@pytest.fixture(scope="session")
def embedded_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNode]:
    """The embedded broker for the session."""
    with running(EmbeddedNode(tmp_path_factory.mktemp("embedded"))) as node:
        yield node


@pytest.fixture(scope="session")
def store_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreNode]:
    """The document store for the session."""
    with running(store_to_test(tmp_path_factory.mktemp("store"))) as node:
        yield node


@pytest.fixture
def rabbitmq(rabbitmq_node: RabbitNode) -> Iterator[RabbitNode]:
    """A real RabbitMQ that the test may fill, stop and kill."""
    yield rabbitmq_node
    rabbitmq_node.reset()


@pytest.fixture
def rabbitmq4(rabbitmq4_node: RabbitNode) -> Iterator[RabbitNode]:
    """A real RabbitMQ 4 that the test may fill, stop and kill."""
    yield rabbitmq4_node
    rabbitmq4_node.reset()


@pytest.fixture
def embedded(embedded_node: EmbeddedNode) -> Iterator[EmbeddedNode]:
    """An embedded broker that the test may fill, stop and kill."""
    yield embedded_node
    embedded_node.reset()


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> BrokerNode:
    """Each broker in turn (see `pytest_generate_tests`): the test holds for all."""
    node: BrokerNode = request.getfixturevalue(request.param)
    return node


@pytest.fixture
def store(store_node: StoreNode) -> Iterator[StoreNode]:
    """An empty document store that the test may fill, stop and kill."""
    yield store_node
    store_node.reset()


@pytest.fixture
def mongo_proxy(store: StoreNode) -> Iterator[MongoProxy]:
    """A proxy before the store that can break single commands."""
    with MongoProxy(store.port) as one:
        yield one


@pytest.fixture
def target() -> Iterator[Target]:
    """A recording HTTP server to push messages to."""
    with Target() as one:
        yield one


@pytest.fixture
def proxy() -> Iterator[Callable[[int], Proxy]]:
    """Puts a breakable proxy before a loopback port."""
    made: list[Proxy] = []

    def before(port: int) -> Proxy:
        made.append(Proxy(port))
        return made[-1]

    yield before
    for one in made:
        one.stop()


@pytest.fixture
def unique_name(request: pytest.FixtureRequest) -> str:
    """A name for a queue, exchange or user that no other test uses."""
    return f"{request.node.originalname[:60]}-{os.urandom(4).hex()}"
