"""The overhead of a request (auth, validation, logging and the other layers), compared with a bare Flask view.

    python -m benchmarks.request_cost [--requests 3000]

Both answer the same to the same POST of a 1 KB message, in this process and thread, without sockets. Ours goes through
all that POST /messagePublish goes through, except the publishing. Log lines are written, to /dev/null.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from pydantic import SecretStr

from app import create_app
from config import Settings
from domain.publication import PublishRequest
from routes.api import Api, Reply, done
from services.bundle import Services
from tests.support.server import running
from tests.support.store import StoreNode

BODY = b'{"queueName": "orders", "message": "' + b"x" * 1024 + b'"}'
PASSWORD = "correct horse battery"
ROUNDS = 7

api = Api("benchmark")


@api.post("/cost", role="publisher", idempotent=True, audit="refused", lines="messages")
def cost(body: PublishRequest) -> Reply[dict[str, str]]:
    """Answer as POST /messagePublish, without publishing."""
    message = body.to_message(None, {})
    return done("Message has been published successfully.", messageId=message.properties.message_id)


def bare() -> Flask:
    """Return a Flask app that reads the body and answers."""
    app = Flask("bare")

    @app.post("/cost")
    def view() -> Response:
        request.get_data()
        return Response(b'{"message":"Message has been published successfully."}\n', mimetype="application/json")

    return app


def environ(token: str) -> dict[str, Any]:
    """Return the WSGI environ that gunicorn passes to the app."""
    return {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/cost", "QUERY_STRING": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5000", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "SCRIPT_NAME": "",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(BODY)), "HTTP_HOST": "127.0.0.1:5000",
        "HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_USER_AGENT": "benchmark", "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(BODY), "wsgi.errors": sys.stderr, "wsgi.version": (1, 0), "wsgi.multithread": True,
        "wsgi.multiprocess": True, "wsgi.run_once": False,
    }  # fmt: skip


def microseconds(app: Flask, token: str, requests: int) -> float:
    """Return the CPU time of one request. Ends the program if one is refused."""
    statuses: set[str] = set()

    def start(status: str, _headers: Iterable[tuple[str, str]], _exc_info: Any = None) -> Any:
        statuses.add(status)

    made = [environ(token) for _ in range(requests)]
    began = time.thread_time()
    for one in made:
        for _ in app.wsgi_app(one, start):
            pass
    used = time.thread_time() - began
    if statuses != {"200 OK"}:
        raise SystemExit(f"answered {statuses}")
    return used / requests * 1e6


def main() -> None:
    options = argparse.ArgumentParser(description="Processor time of the layers around a request.")
    options.add_argument("--requests", type=int, default=3000, help="in each of the rounds")
    given = options.parse_args()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the program runs
    with tempfile.TemporaryDirectory() as place, running(StoreNode(Path(place) / "store")) as store:
        app = create_app(_settings(Path(place), store))
        app.register_blueprint(api.blueprint)
        services: Services = app.extensions["services"]
        services.users.create("benchmark", PASSWORD, "publisher")
        token, _, _ = services.login.login("benchmark", PASSWORD, "")
        rounds = [[microseconds(way, token, given.requests) for way in (bare(), app)] for _ in range(ROUNDS)]
    bare_cost, our_cost = (statistics.median(found) for found in zip(*rounds, strict=True))
    print(f"{platform.machine()}, Python {platform.python_version()}, median of {ROUNDS} × {given.requests} requests")
    print(f"a bare Flask view   {bare_cost:6.0f} µs")
    print(f"all our layers      {our_cost:6.0f} µs")
    print(f"so the layers cost  {our_cost - bare_cost:6.0f} µs a request")


def _settings(place: Path, store: StoreNode) -> Settings:
    return Settings(
        _env_file=None,
        mongo_uri=SecretStr(store.uri("benchmark")),
        rabbitmq_url="amqp://127.0.0.1:1/",
        data_dir=place / "var",
        consumers="external",
        log_format="json",
    )


if __name__ == "__main__":
    main()
