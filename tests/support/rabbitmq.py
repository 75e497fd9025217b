"""A real RabbitMQ server for tests, on its own ports and directory, separate from an installed one."""

from __future__ import annotations

import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.node import BrokerNode
from tests.support.processes import Process, free_port, wait_until
from tests.support.rabbitmq_programs import RABBITMQ, Programs

# Let Erlang's allocators count memory: in a root without /proc RabbitMQ 4 cannot ask the kernel.
_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
collect_statistics_interval = 200
management.sample_retention_policies.global.minute = 1
management.sample_retention_policies.basic.minute = 1
management.sample_retention_policies.detailed.10 = 1
vm_memory_calculation_strategy = allocated
total_memory_available_override_value = 4GB
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = warning
log.file = false
"""


_JOINING = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_formation.classic_config.nodes.1 = {founder}
cluster_formation.classic_config.nodes.2 = {node}
"""
"""https://www.rabbitmq.com/docs/cluster-formation#peer-discovery-classic-config"""

_TLS_CONFIGURATION = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {place}/ca.pem
ssl_options.certfile = {place}/node.pem
ssl_options.keyfile = {place}/node.key
ssl_options.verify = {verify}
ssl_options.fail_if_no_peer_cert = {required}
management.ssl.ip = 127.0.0.1
management.ssl.port = {management_port}
management.ssl.cacertfile = {place}/ca.pem
management.ssl.certfile = {place}/node.pem
management.ssl.keyfile = {place}/node.key
management.ssl.verify = {verify}
management.ssl.fail_if_no_peer_cert = {required}
"""
"""https://www.rabbitmq.com/docs/ssl and https://www.rabbitmq.com/docs/management#single-listener-https"""


_SLOW_NODE_STATISTICS = """\
Interval = rabbit_misc:get_env(rabbit, collect_statistics_interval, 5000),
application:set_env(rabbit, collect_statistics_interval, 5000),
ok = supervisor:terminate_child(rabbit_mgmt_agent_sup, rabbit_mgmt_external_stats),
{ok, _} = supervisor:restart_child(rabbit_mgmt_agent_sup, rabbit_mgmt_external_stats),
application:set_env(rabbit, collect_statistics_interval, Interval).
"""
"""Restarts the process that reads the interval when it starts."""


@dataclass(frozen=True)
class NodeTls:
    """Files in PEM form that a node speaks TLS with. With `client_certificates` it talks to no client without one."""

    ca: Path
    certificate: Path
    key: Path
    client_certificates: bool = False


class Epmd:
    """Erlang's port mapper, and the cookie of the nodes that it knows. The nodes of a cluster share one."""

    def __init__(self, directory: Path, programs: Programs) -> None:
        self.port = free_port()
        self.cookie = secrets.token_hex(10)
        directory.mkdir(parents=True, exist_ok=True)
        environment = {"PATH": os.environ["PATH"]}
        command = programs.command("epmd", "-address", "127.0.0.1", "-port", str(self.port))
        self.process = Process(command, directory / "epmd.log", environment)

    def start(self) -> None:
        """Start it, unless it runs."""
        if not self.process.running:
            self.process.start()

    def shutdown(self) -> None:
        """Kill it, if it runs."""
        if self.process.running:
            self.process.kill()


class RabbitNode(BrokerNode):
    """`rabbitmq-server` with the management plugin. A start takes two (4.x) to ten seconds (3.10).

    `directory` gets the logs; `data` is the directory of the data, which the programs can reach. `configuration` is
    appended to rabbitmq.conf, `advanced` is advanced.config. Without an `epmd` to share, the node has its own. When it
    starts for the first time, it joins the cluster of `founder`, a running node with the same epmd. With `tls` it
    listens on `tls_port` and `tls_management_port`, too.
    """

    ready_timeout = 120.0

    def __init__(
        self,
        directory: Path,
        programs: Programs = RABBITMQ,
        *,
        configuration: str = "",
        advanced: str = "",
        epmd: Epmd | None = None,
        founder: RabbitNode | None = None,
        tls: NodeTls | None = None,
    ) -> None:
        super().__init__()
        self.name = programs.name
        self.node_name = f"test{self.port}@localhost"
        self._programs = programs
        self.data = programs.make_directory(directory)
        self._epmd = epmd or Epmd(directory, programs)
        self._owns_epmd = epmd is None
        self.tls_port, self.tls_management_port = (free_port(), free_port()) if tls else (0, 0)
        if founder:
            configuration += _JOINING.format(founder=founder.node_name, node=self.node_name)
        certificates = self._write_certificates(tls) if tls else ""
        self._environment = self._write_configuration(configuration + certificates, advanced)
        command = programs.command("rabbitmq-server")
        self.process = Process(command, directory / "rabbitmq.log", self._environment)

    def _write_configuration(self, more: str, advanced: str) -> dict[str, str]:
        place = self.data
        (place / "enabled_plugins").write_text("[rabbitmq_management].\n")
        (place / "rabbitmq.conf").write_text(
            _CONFIGURATION.format(port=self.port, management_port=self.management_port) + more
        )
        if advanced:
            (place / "advanced.config").write_text(advanced)
        cookie = place / ".erlang.cookie"
        cookie.write_text(self._epmd.cookie)
        cookie.chmod(0o400)
        inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        inside = self._programs.inside(place)
        return inherited | {
            "HOME": inside,
            "ERL_EPMD_PORT": str(self._epmd.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_ALLOW_INPUT": "1",  # the script execs the Erlang VM, so its pid can be signalled
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{inside}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{inside}/advanced.config",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{inside}/enabled_plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{inside}/generated",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": inside,
            "RABBITMQ_MNESIA_BASE": f"{inside}/mnesia",
            "RABBITMQ_NODENAME": self.node_name,
            "RABBITMQ_PID_FILE": f"{inside}/rabbitmq.pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -noinput",
        }

    def _write_certificates(self, tls: NodeTls) -> str:
        for file, name in ((tls.ca, "ca.pem"), (tls.certificate, "node.pem"), (tls.key, "node.key")):
            (self.data / name).write_bytes(file.read_bytes())
        return _TLS_CONFIGURATION.format(
            port=self.tls_port,
            management_port=self.tls_management_port,
            place=self._programs.inside(self.data),
            verify="verify_peer" if tls.client_certificates else "verify_none",
            required=str(tls.client_certificates).lower(),
        )

    def start(self) -> None:
        self.boot()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it answers after `boot`. From then on it gathers its own statistics every five seconds: at the
        interval of its queues' they are 85 % of the CPU of an idle node.
        """
        self.process.wait_ready(self.ready, self.ready_timeout)
        self.evaluate(_SLOW_NODE_STATISTICS)

    def boot(self) -> None:
        """Start it without waiting: a node of a cluster may wait for the others."""
        self._epmd.start()
        self.process.start()

    def shutdown(self) -> None:
        """Kill the server and its own epmd, and delete the data; the node is not used again."""
        super().shutdown()
        if self._owns_epmd:
            self._epmd.shutdown()
        self._programs.discard_directory(self.data)

    def evaluate(self, expressions: str) -> str:
        """Evaluate Erlang in the node, and return the last value.

        Takes milliseconds, by erl_call (https://www.erlang.org/doc/apps/erl_interface/erl_call_cmd). rabbitmqctl starts
        an Erlang VM for each call, which costs more than a second of CPU.
        """
        done = subprocess.run(
            self._programs.command("erl_call", "-sname", self.node_name, "-c", self._epmd.cookie, "-r", "-e"),
            env=self._environment,
            input=f"{expressions}\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.startswith("{ok, "), f"{expressions}: {done.stdout}{done.stderr}"
        return done.stdout[len("{ok, ") : -1]

    def close_connections(self) -> None:
        self.evaluate('rabbit_networking:close_connections(rabbit_networking:connections(), "closed by a test").')

    def set_consumer_timeout(self, seconds: float | None) -> None:
        """Set how long channels opened from now on may hold a message unsettled; None is RabbitMQ's default."""
        timeout, tick = (1_800_000, 60_000) if seconds is None else (round(seconds * 1000), 500)
        self.evaluate(
            f"application:set_env(rabbit, consumer_timeout, {timeout}),"
            f"application:set_env(rabbit, channel_tick_interval, {tick})."
        )

    def set_memory_alarm(self, on: bool) -> None:
        self.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({'0.000001' if on else '0.4'}).")
        status = 503 if on else 200
        wait_until(lambda: self.management.get("health", "checks", "alarms").status_code == status, 15, f"alarm {on}")
