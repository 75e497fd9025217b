"""The processes to start, their order and their environment. Only this module knows which parts are embedded.

The embedded broker runs if RABBITMQ_URL is not set, the embedded store if MONGO_URI is not set.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from config import Settings
from launcher import ports
from launcher.admin import FirstAdmin
from launcher.secret_files import made_once

BROKER_USER = "workerrmq"
STORE_FILE = "store_url"

TARGETS_HERE = "127.0.0.0/8, ::1, localhost"
"""What targets may be when broker and targets share a machine for trying things, and TARGET_ALLOW says nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """A supervised process. Lower stages start first and stop last; the parts of a stage stop together.

    `patience` is the number of seconds between SIGTERM and SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    stage: int
    patience: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All parts, their common environment, and the texts for the operator."""

    parts: tuple[Part, ...]
    environment: dict[str, str]
    data_dir: Path
    host: str
    port: int
    broker: str
    store: str
    admin: FirstAdmin

    @property
    def url(self) -> str:
        """The service's address as a program on this machine writes it."""
        host = {"0.0.0.0": ports.LOOPBACK, "[::]": "[::1]"}.get(self.host, self.host)
        return f"http://{host}:{self.port}"

    @property
    def patience(self) -> int:
        """The most seconds that an orderly stop takes."""
        stages = {part.stage for part in self.parts}
        return sum(max(part.patience for part in self.parts if part.stage == stage) for stage in stages)


def make_plan(settings: Settings, data_dir: Path) -> Plan:
    """Plan the processes for `settings` and create their files in `data_dir`. Raises StartFailed."""
    host, _, port = settings.bind.rpartition(":")
    ports.need(host, int(port))
    environment = {"CONSUMERS": "external", "DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}
    admin = FirstAdmin(settings.admin_username, settings.admin_password.get_secret_value(), data_dir)
    if (
        admin.password and not admin.given
    ):  # what is given, all parts read for themselves: it may be ADMIN_PASSWORD_FILE
        environment["ADMIN_PASSWORD"] = admin.password
    parts: list[Part] = []
    store, broker = "MongoDB at MONGO_URI", "RabbitMQ at RABBITMQ_URL"
    if "mongo_uri" not in settings.model_fields_set:
        store = _embed_store(parts, environment, data_dir)
    if "rabbitmq_url" not in settings.model_fields_set:
        broker = _embed_broker(parts, environment, data_dir)
        if "target_allow" not in settings.model_fields_set:
            environment["TARGET_ALLOW"] = TARGETS_HERE
    drain = round(settings.drain_timeout) + 1
    parts.append(Part("worker", (_python(), "WorkerRMQ.py"), stage=3, patience=drain))
    answers = math.ceil(settings.publish_timeout) + 10  # gunicorn.conf.py: open connections, then the master's own end
    parts.append(Part("web", (_python(), "-m", "gunicorn", "wsgi:app"), stage=3, patience=max(drain, answers)))
    return Plan(tuple(parts), environment, data_dir, host, int(port), broker, store, admin)


def _embed_store(parts: list[Part], environment: dict[str, str], data_dir: Path) -> str:
    port = ports.usual_or_free(27017)
    pid_file = data_dir / "store.pid"
    pid_file.unlink(missing_ok=True)  # after a power cut it names a stranger, and the store would refuse to start
    program = str(Path(_python()).with_name("nx-27017"))
    listen = ("--host", ports.LOOPBACK, "--port", str(port))
    files = ("--data-dir", str(data_dir / "store"), "--log-file", os.devnull, "--pid-file", str(pid_file))
    parts.append(Part("store", (_python(), program, *listen, *files), stage=1, patience=1))
    environment["MONGO_URI"] = f"mongodb://{ports.LOOPBACK}:{port}/workerrmq"
    (data_dir / STORE_FILE).write_text(environment["MONGO_URI"])  # for reset_password
    return f"embedded, mongodb://{ports.LOOPBACK}:{port}"


def _embed_broker(parts: list[Part], environment: dict[str, str], data_dir: Path) -> str:
    port, management = ports.usual_or_free(5672), ports.usual_or_free(15672)
    password = made_once(data_dir / "broker_password")
    listen = ("--host", ports.LOOPBACK, "--port", str(port), "--management-port", str(management))
    command = (_python(), "-m", "broker", *listen, "--data-dir", str(data_dir / "broker"))
    parts.append(Part("broker", command, stage=2, patience=2))
    environment["BROKER_USER"] = f"{BROKER_USER}:{password}"  # not an argument: every local user can read those
    environment["RABBITMQ_URL"] = f"amqp://{BROKER_USER}:{password}@{ports.LOOPBACK}:{port}/"
    environment["RABBITMQ_MANAGEMENT_URL"] = f"http://{ports.LOOPBACK}:{management}"
    return f"embedded, amqp://{BROKER_USER}@{ports.LOOPBACK}:{port}, management on port {management}"


def _python() -> str:
    """Return this virtualenv's python, relative to the project if inside it: such a path needs no escaping."""
    python = Path(sys.executable)
    return str(python.relative_to(Path.cwd())) if python.is_relative_to(Path.cwd()) else str(python)
