"""The processes to start, their order and their environment. Only this module knows which programs are embedded.

The embedded broker runs if RABBITMQ_URL is not set, the embedded store if MONGO_URI is not set.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from config import Settings
from launcher import command, ports
from launcher.admin import FirstAdmin
from launcher.errors import StartFailed
from launcher.secret_files import stored_secret

BROKER_USER = "workerrmq"
STORE_FILE = "store_url"

LOCAL_TARGETS = "127.0.0.0/8, ::1, localhost"
"""The default of TARGET_ALLOW with the embedded broker: targets on this machine, to try things out."""


@dataclass(frozen=True, slots=True)
class Program:
    """A supervised process. Lower stages start first and stop last; the programs of a stage stop together.

    `stop_timeout` is the number of seconds between SIGTERM and SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    stage: int
    stop_timeout: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All programs, their common environment, and the texts for the operator."""

    programs: tuple[Program, ...]
    environment: dict[str, str]
    data_dir: Path
    host: str
    port: int
    broker: str
    store: str
    admin: FirstAdmin

    @property
    def url(self) -> str:
        """The service's URL for programs on this machine."""
        host = {"0.0.0.0": ports.LOOPBACK, "[::]": "[::1]"}.get(self.host, self.host)
        return f"http://{host}:{self.port}"

    @property
    def stop_timeout(self) -> int:
        """The longest duration of an orderly stop, in seconds."""
        stages = {program.stage for program in self.programs}
        return sum(max(program.stop_timeout for program in self.programs if program.stage == stage) for stage in stages)


def make_plan(settings: Settings, data_dir: Path) -> Plan:
    """Plan the processes for `settings` and create their files in `data_dir`. Raises StartFailed."""
    host, _, port = settings.bind.rpartition(":")
    ports.check_free(host, int(port))
    environment = {"CONSUMERS": "external", "DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}
    admin = FirstAdmin(settings.admin_username, settings.admin_password.get_secret_value(), data_dir)
    if (
        admin.password and not admin.given
    ):  # what is given, all parts read for themselves: it may be ADMIN_PASSWORD_FILE
        environment["ADMIN_PASSWORD"] = admin.password
    programs: list[Program] = []
    store, broker = "MongoDB at MONGO_URI", "RabbitMQ at RABBITMQ_URL"
    if "mongo_uri" not in settings.model_fields_set:
        store = _embed_store(programs, environment, data_dir)
    if "rabbitmq_url" not in settings.model_fields_set:
        broker = _embed_broker(programs, environment, data_dir)
        if "target_allow" not in settings.model_fields_set:
            environment["TARGET_ALLOW"] = LOCAL_TARGETS
    drain = round(settings.drain_timeout) + 1
    if settings.worker_bind and settings.workers > 1:
        raise StartFailed("WORKER_BIND is the address of one worker. Unset it, or set WORKERS=1")
    for number in range(1, settings.workers + 1):
        name = "worker" if number == 1 else f"worker-{number}"
        programs.append(Program(name, (_python(), *command.worker()), stage=3, stop_timeout=drain))
    answers = math.ceil(settings.publish_timeout) + 10  # gunicorn.conf.py: open connections, then the master's exit
    programs.append(Program("web", (_python(), *command.web()), stage=3, stop_timeout=max(drain, answers)))
    return Plan(tuple(programs), environment, data_dir, host, int(port), broker, store, admin)


def _embed_store(programs: list[Program], environment: dict[str, str], data_dir: Path) -> str:
    port = ports.usual_or_free(27017)
    pid_file = data_dir / "store.pid"
    pid_file.unlink(missing_ok=True)  # stale after a power cut: the store would not start
    program = str(Path(_python()).with_name("nx-27017"))
    listen = ("--host", ports.LOOPBACK, "--port", str(port))
    files = ("--data-dir", str(data_dir / "store"), "--log-file", os.devnull, "--pid-file", str(pid_file))
    programs.append(Program("store", (_python(), program, *listen, *files), stage=1, stop_timeout=1))
    environment["MONGO_URI"] = f"mongodb://{ports.LOOPBACK}:{port}/workerrmq"
    (data_dir / STORE_FILE).write_text(environment["MONGO_URI"])  # for reset_password
    return f"embedded, mongodb://{ports.LOOPBACK}:{port}"


def _embed_broker(programs: list[Program], environment: dict[str, str], data_dir: Path) -> str:
    port, management = ports.usual_or_free(5672), ports.usual_or_free(15672)
    password = stored_secret(data_dir / "broker_password")
    listen = ("--host", ports.LOOPBACK, "--port", str(port), "--management-port", str(management))
    files = ("--data-dir", str(data_dir / "broker"))
    programs.append(Program("broker", (_python(), "-m", "broker", *listen, *files), stage=2, stop_timeout=2))
    environment["BROKER_USER"] = f"{BROKER_USER}:{password}"  # not an argument: all local users can read those
    environment["RABBITMQ_URL"] = f"amqp://{BROKER_USER}:{password}@{ports.LOOPBACK}:{port}/"
    environment["RABBITMQ_MANAGEMENT_URL"] = f"http://{ports.LOOPBACK}:{management}"
    return f"embedded, amqp://{BROKER_USER}@{ports.LOOPBACK}:{port}, management on port {management}"


def _python() -> str:
    """Return the path of this virtual environment's Python."""
    return command.short(Path(sys.executable))
