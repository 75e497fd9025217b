"""A broker as a process: the common interface of RabbitMQ and the embedded broker for tests."""

from __future__ import annotations

import signal
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pika
import requests
from pika.adapters.utils.connection_workflow import AMQPConnectorException

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
        """Return the service's settings for this broker."""
        return {"RABBITMQ_URL": self.amqp_url, "RABBITMQ_MANAGEMENT_URL": self.management_url}

    @abstractmethod
    def set_memory_alarm(self, on: bool) -> None:
        """Raise or clear the memory alarm, which blocks publishing connections, and wait until it takes effect."""

    def suspend(self) -> None:
        """Stop all threads by SIGSTOP: connections stay open and nothing answers."""
        self.process.suspend()

    def resume(self) -> None:
        """Send SIGCONT after `suspend`."""
        self.process.signal(signal.SIGCONT)

    def connect(self, **parameters: Any) -> pika.BlockingConnection:
        """Open an AMQP connection as guest to the vhost "/"; `parameters` override pika's.

        Raises pika's AMQPConnectionError, also when the handshake takes too long: pika's own exception for that is not
        an AMQPError.
        """
        settings = pika.URLParameters(self.amqp_url)
        for name, value in parameters.items():
            setattr(settings, name, value)
        try:
            return pika.BlockingConnection(settings)
        except AMQPConnectorException as error:
            raise pika.exceptions.AMQPConnectionError(str(error)) from error

    def connections(self) -> list[str]:
        """Return the names of the open AMQP connections."""
        return [one["name"] for one in self.management.get("connections").json() if "name" in one]

    @abstractmethod
    def close_connections(self) -> None:
        """Close every AMQP connection from the broker's side (320 connection-forced) and wait until they are closed."""

    def ready(self) -> bool:
        """Return whether AMQP and the management API both answer."""
        try:
            if self.management.get("overview").status_code != 200:
                return False
            self.connect(blocked_connection_timeout=2, socket_timeout=2).close()
            return True
        except (pika.exceptions.AMQPError, OSError, requests.RequestException):
            return False

    def reset(self) -> None:
        """Reset the broker: running, without connections, queues, exchanges, bindings, vhosts, users and policies of a
        test.
        """
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
        # In parallel: RabbitMQ 4 needs five seconds to delete a quorum queue that was new when it was killed.
        with ThreadPoolExecutor(16) as deleting:
            for kind in ("queues", "exchanges", "policies"):
                for name in self._names(kind, "/"):
                    if not (kind == "exchanges" and (not name or name.startswith("amq."))):
                        deleting.submit(self.management.delete, kind, "/", name)

    def _names(self, *path: str) -> list[str]:
        answer = self.management.get(*path)
        return [one["name"] for one in answer.json()] if answer.ok else []
