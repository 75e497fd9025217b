"""lib.mq as its user has it: a directory with a config.yml, and programs that are started there."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import BROKERS
from tests.support.node import BrokerNode
from tests.support.processes import Process, wait_until
from tests.support.programs import require
from tests.support.redis import RedisNode
from tests.support.server import running

PROJECT = Path(__file__).parents[2]


class Terminals:
    """A directory, and the programs that run in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[Process] = []

    def configure(self, use: str, **entry: object) -> None:
        """Write config.yml, with one entry."""
        (self.directory / "config.yml").write_text(yaml.safe_dump({"use": use, use: entry}))

    def run(self, *arguments: str) -> Process:
        """Start `python ARGUMENTS`; does not wait."""
        log = self.directory / f"{len(self._started)}.log"
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        self._started.append(Process([sys.executable, *arguments], log, environment, self.directory))
        self._started[-1].start()
        return self._started[-1]

    def mq(self, role: str, name: str, exchange: str = "CTH") -> Process:
        """Start `python -m lib.mq` as the document has it."""
        return self.run("-m", "lib.mq", f"--{role}", "--exchange", exchange, "--id", name)

    def refusal(self, *arguments: str) -> str:
        """Run a program that must exit with status 1. Return its only line."""
        process = self.run(*arguments)
        wait_until(lambda: not process.running, 30, "the program giving up")
        assert process.returncode == 1, process.output()
        said = process.output().strip()
        assert "\n" not in said
        return said

    def interrupt(self, process: Process) -> None:
        """Ctrl+C; it must end in order."""
        process.signal(signal.SIGINT)
        wait_until(lambda: not process.running, 15, "the end after Ctrl+C")
        assert process.returncode == 0, process.output()
        assert "Traceback" not in process.output()

    def close(self) -> None:
        for process in self._started:
            process.kill()


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Terminals]:
    """A directory without a config.yml."""
    some = Terminals(tmp_path)
    yield some
    some.close()


@pytest.fixture(scope="session")
def redis_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisNode]:
    """Redis for the session; skipped where it is not installed, unless REQUIRE_REDIS=1 forbids that."""
    require("REDIS", "redis-server")
    with running(RedisNode(tmp_path_factory.mktemp("redis"))) as node:
        yield node


@pytest.fixture(params=[*BROKERS, "redis"])
def queues(request: pytest.FixtureRequest, terminals: Terminals) -> Iterator[BrokerNode | RedisNode]:
    """Each message queue in turn, chosen by config.yml alone."""
    if request.param == "redis":
        redis: RedisNode = request.getfixturevalue("redis_node")
        terminals.configure("redis", url=redis.url)
        yield redis
        redis.reset()
        return
    broker: BrokerNode = request.getfixturevalue(request.param)
    terminals.configure("rabbitmq", url=broker.amqp_url)
    yield broker
