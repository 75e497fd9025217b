"""WorkerRMQ in the place of a broker: it takes messages by REST, and delivers them by HTTP."""

import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import requests
from flask import Flask, request
from werkzeug.serving import BaseWSGIServer, make_server

from examples.invoices.message_utilits import InvoiceError, say
from launcher.supervisor_config import dies_with_parent


class RestBroker:
    """What emulators.rabbit_emulator.RabbitMQ is, by REST. Each queue that is consumed gets a Flask app, and a consumer
    that delivers there. What the product refuses, and its absence, is an InvoiceError.
    """

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url, self._session = url.rstrip("/"), requests.Session()
        self._servers: dict[str, BaseWSGIServer] = {}
        token = self._ask("POST", "login", username=username, password=password)["token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def _ask(self, method: str, route: str, **body: str) -> dict[str, str]:
        try:
            answer = self._session.request(method, f"{self._url}/{route}", json=body, timeout=30)
            said: dict[str, str] = answer.json()
        except requests.RequestException as error:
            raise InvoiceError(f"There is no WorkerRMQ at {self._url}: start it with ./run.sh, or unset WORKERRMQ_URL, "
                               f"and this starts one for itself.") from error  # fmt: skip
        if not answer.ok:
            raise InvoiceError(f"WorkerRMQ refuses {route}: {said.get('detail')}")
        return said

    def declare_queue(self, queue_name: str, dead_letter_queue: str | None = None) -> None:
        """The dead-letter queue is made with the consumer, and has this name then."""
        self._ask("POST", "createQueue", queueName=queue_name)

    def publish(self, queue_name: str, message: str) -> None:
        """Returns when the broker has confirmed it."""
        self._ask("POST", "messagePublish", queueName=queue_name, message=message)

    def consume(self, queue_name: str, callback: Callable[[str], object]) -> None:
        """Have each message delivered to a service of its own. Its 422 dead-letters one, its 500 has it come again."""
        app = Flask(queue_name)

        @app.post("/")
        def receive() -> tuple[str, int]:
            try:
                callback(request.get_data(as_text=True))
            except InvoiceError as error:
                say(f"{queue_name}: {error}")
                return str(error), 422
            return "", 204

        server = make_server("127.0.0.1", 0, app, threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        name, url = f"invoices-{queue_name}", f"http://127.0.0.1:{server.port}/"
        with suppress(InvoiceError):
            self._ask("DELETE", "deleteConsumer", name=name)  # one that was left when a run was killed
        self._ask("POST", "createConsumer", queueName=queue_name, name=name, url=url)
        self._servers[name] = server
        say(f"{queue_name} is delivered to {url}")

    def close(self) -> None:
        """Delete the consumers and end their services."""
        for name, server in self._servers.items():
            self._ask("DELETE", "deleteConsumer", name=name)
            server.shutdown()


@contextmanager
def product() -> Iterator[Callable[[], RestBroker]]:
    """Connects to the WorkerRMQ at WORKERRMQ_URL, or to one of our own that is gone afterwards. Raises InvoiceError."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    user, password = os.environ.get("ADMIN_USERNAME", "admin"), os.environ.get("ADMIN_PASSWORD", "")
    if url := os.environ.get("WORKERRMQ_URL"):
        yield partial(RestBroker, url, user, password)
        return
    say("Starting a WorkerRMQ of our own …")
    with socket.create_server(("127.0.0.1", 0)) as free:
        bind = f"127.0.0.1:{free.getsockname()[1]}"
    password = secrets.token_urlsafe()
    with TemporaryDirectory(prefix="invoices-") as data_dir:
        settings = {"BIND": bind, "DATA_DIR": data_dir, "ADMIN_USERNAME": user, "ADMIN_PASSWORD": password,
                    "TARGET_ALLOW": "127.0.0.1"}  # fmt: skip
        with subprocess.Popen(
            [*dies_with_parent(), sys.executable, "-m", "launcher"], env=os.environ | settings,
            cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, start_new_session=True,
        ) as launcher:  # fmt: skip
            try:
                assert launcher.stdout is not None
                if not any("Ctrl+C stops it" in line for line in launcher.stdout):
                    raise InvoiceError("WorkerRMQ could not start: see above.")
                yield partial(RestBroker, f"http://{bind}", user, password)
            finally:
                launcher.terminate()
                launcher.communicate()
