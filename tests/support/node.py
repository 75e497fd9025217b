"""A broker that runs as a process of its own: what RabbitMQ and the embedded broker have in common for a test."""

from __future__ import annotations

import signal
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pika
import requests

from tests.support.management import Management
from tests.support.processes import free_port
from tests.support.server import Server


class BrokerNode(Server):
    """Ready when AMQP and the management API answer."""

    name: str
    ready_timeout: float

    def __init__(self) -> None:
        self.port = free_port()
        self.management_port = free_port()
        self.amqp_url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        self.management_url = f"http://127.0.0.1:{self.management_port}"
        self.management = Management(self.management_url)

    @property
    def settings(self) -> dict[str, str]:
        """Those of the service that lead here."""
        return {"RABBITMQ_URL": self.amqp_url, "RABBITMQ_MANAGEMENT_URL": self.management_url}

    @abstractmethod
    def set_memory_alarm(self, on: bool) -> None:
        """Raise or clear the memory alarm, which blocks publishing connections; returns when it has taken effect."""

    def suspend(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `suspend`."""
        self.process.signal(signal.SIGCONT)

    def connect(self, **parameters: Any) -> pika.BlockingConnection:
        """An AMQP connection as guest to the vhost "/", with pika's parameters changed as told."""
        settings = pika.URLParameters(self.amqp_url)
        for name, value in parameters.items():
            setattr(settings, name, value)
        return pika.BlockingConnection(settings)

    def connections(self) -> list[str]:
        """The names of the open AMQP connections."""
        return [one["name"] for one in self.management.get("connections").json() if "name" in one]

    @abstractmethod
    def close_connections(self) -> None:
        """Close every AMQP connection from the broker's side (320 connection-forced); returns when they are closed."""

    def ready(self) -> bool:
        """Whether AMQP and the management API both answer."""
        try:
            if self.management.get("overview").status_code != 200:
                return False
            self.connect(blocked_connection_timeout=2, socket_timeout=2).close()
            return True
        except (pika.exceptions.AMQPError, OSError, requests.RequestException):
            return False

    def reset(self) -> None:
        """Make it as new: running, no connection, queue, exchange, binding, vhost, user or policy of a test left."""
        if not self.process.running:
            self.start()
        self.resume()
        for connection in self.connections():
            self.management.delete("connections", connection)
        for vhost in self._names("vhosts"):
            if vhost != "/":
                self.management.delete("vhosts", vhost)
        for user in self._names("users"):
            if user != "guest":
                self.management.delete("users", user)
        # At once: RabbitMQ 4 tries for five seconds to delete a quorum queue that was new when it was killed.
        with ThreadPoolExecutor(16) as deleting:
            for kind in ("queues", "exchanges", "policies"):
                for name in self._names(kind, "/"):
                    if not (kind == "exchanges" and (not name or name.startswith("amq."))):
                        deleting.submit(self.management.delete, kind, "/", name)

    def _names(self, *path: str) -> list[str]:
        answer = self.management.get(*path)
        return [one["name"] for one in answer.json()] if answer.ok else []
