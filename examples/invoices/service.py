"""WorkerRMQ in place of a broker: accepts messages by REST and delivers them by HTTP."""

import logging
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryDirectory
from threading import Thread

from flask import Flask, request
from werkzeug.serving import make_server

from cli.errors import Failed
from cli.service import Service
from examples.child import child
from examples.invoices.message_utilits import InvoiceError, say
from launcher.ports import usual_or_free


class RestBroker:
    """The REST counterpart of emulators.rabbit_emulator.RabbitMQ. Each consumed queue gets a Flask app and a consumer
    that delivers to it; `close` ends both. A refusal by the service, or its absence, raises cli.errors.Failed.
    """

    def __init__(self, service: Service) -> None:
        self._request = service.request
        self._until_close = ExitStack()
        self.close = self._until_close.close

    def publish(self, queue_name: str, message: str) -> None:
        """Publish a message and wait for the broker's confirm; create the queue if it does not exist."""
        self._request("POST", "/createQueue", body={"queueName": queue_name})
        self._request("POST", "/messagePublish", body={"queueName": queue_name, "message": message})

    def consume(self, queue_name: str, callback: Callable[[str], object], dead_letter_queue: str) -> None:
        """Deliver each message to a new HTTP service. It answers 422 to dead-letter a message and 500 to get it again.
        The service chooses the dead-letter queue: QUEUE_NAME.dlq.
        """
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
        self._until_close.callback(server.shutdown)
        name, url = f"invoices-{queue_name}", f"http://127.0.0.1:{server.port}/"
        with suppress(Failed):
            self._request("DELETE", "/deleteConsumer", body={"name": name})  # a leftover of a killed run
        self._request("POST", "/createQueue", body={"queueName": queue_name})
        self._request("POST", "/createConsumer", body={"queueName": queue_name, "name": name, "url": url})
        self._until_close.callback(self._request, "DELETE", "/deleteConsumer", body={"name": name})
        say(f"{queue_name} is delivered to {url}")


@contextmanager
def product() -> Iterator[Callable[[], RestBroker]]:
    """Connect to the WorkerRMQ at WORKERRMQ_URL, with the login of `flask rmq`, or start one and stop it at the end.
    Raises ChildProcessError and click's ClickException.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    if os.environ.get("WORKERRMQ_URL"):
        # Fail at once if the service is down or refuses the login.
        Service.configured(None).request("GET", "/getQueues")
        yield lambda: RestBroker(Service.configured(None))
        return
    say("Starting a WorkerRMQ of our own …")
    bind, password = f"127.0.0.1:{usual_or_free(5000)}", secrets.token_urlsafe()
    settings = {"BIND": bind, "ADMIN_USERNAME": "admin", "ADMIN_PASSWORD": password, "TARGET_ALLOW": "127.0.0.1"}
    with TemporaryDirectory() as data_dir, child("launcher", ready="Ctrl+C stops it", DATA_DIR=data_dir, **settings):
        login = {"username": "admin", "password": password}
        token = Service(f"http://{bind}", None).request("POST", "/login", body=login).json()["token"]
        yield lambda: RestBroker(Service(f"http://{bind}", token))
