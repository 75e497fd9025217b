"""A real RabbitMQ server for tests, on its own ports and directory, sharing nothing with one that may be installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.node import BrokerNode
from tests.support.processes import Process, free_port, wait_until
from tests.support.programs import find

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
collect_statistics_interval = 200
management.sample_retention_policies.global.minute = 1
management.sample_retention_policies.basic.minute = 1
management.sample_retention_policies.detailed.10 = 1
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = warning
log.file = false
"""


def _script(name: str) -> str:
    place = find(name)
    assert place, "RabbitMQ is not installed"
    return place


class RabbitNode(BrokerNode):
    """`rabbitmq-server` with the management plugin and an epmd of its own. A start takes about ten seconds."""

    name = "rabbitmq"
    ready_timeout = 120.0

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._environment = self._write_configuration()
        epmd_port = self._environment["ERL_EPMD_PORT"]
        self._epmd = Process(
            ["epmd", "-address", "127.0.0.1", "-port", epmd_port], directory / "epmd.log", self._environment
        )
        self.process = Process([_script("rabbitmq-server")], directory / "rabbitmq.log", self._environment, directory)

    def _write_configuration(self) -> dict[str, str]:
        place = self._directory
        (place / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (place / "rabbitmq.conf").write_text(
            _CONFIGURATION.format(port=self.port, management_port=self.management_port)
        )
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return inherited | {
            "HOME": str(place),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the Erlang VM, so that its pid is the one to signal
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(place / "advanced.config"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(place / "generated"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(place),
            "RABBITMQ_MNESIA_BASE": str(place / "mnesia"),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_PID_FILE": str(place / "rabbitmq.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -noinput",
        }

    def start(self) -> None:
        if not self._epmd.running:
            self._epmd.start()
        self.process.start()
        self.process.wait_ready(self.ready, self.ready_timeout)

    def shutdown(self) -> None:
        """Kill the server and its epmd; the node is not used again."""
        for process in (self.process, self._epmd):
            if process.running:
                process.kill()

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints for these arguments. Takes a second or two."""
        done = subprocess.run(
            [_script("rabbitmqctl"), "--quiet", *arguments],
            env=self._environment,
            cwd=self._directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"rabbitmqctl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def close_connections(self) -> None:
        self.ctl("close_all_connections", "closed by a test")

    def set_consumer_timeout(self, seconds: float | None) -> None:
        """How long channels that are opened from now on may hold a message unsettled; None is RabbitMQ's default."""
        timeout, tick = (1_800_000, 60_000) if seconds is None else (round(seconds * 1000), 500)
        self.ctl(
            "eval",
            f"application:set_env(rabbit, consumer_timeout, {timeout}),"
            f"application:set_env(rabbit, channel_tick_interval, {tick}).",
        )

    def set_memory_alarm(self, on: bool) -> None:
        self.ctl("set_vm_memory_high_watermark", "0.000001" if on else "0.4")
        status = 503 if on else 200
        wait_until(lambda: self.management.get("health", "checks", "alarms").status_code == status, 15, f"alarm {on}")
