"""Answers of RabbitMQ's management API that are hard to provoke, as seen on RabbitMQ 3.10.8."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from gateway.management import ChannelGateway, ManagementClient
from tests.support.management import management_nodes
from tests.support.serving import Serving

CLOSED = {
    "connection_details": [],
    "name": "127.0.0.1:33436 -> 127.0.0.1:24762 (2)",
    "node": "rabbit@localhost",
    "number": 2,
    "user": "guest",
    "user_who_performed_action": "guest",
    "vhost": "/",
}
OPEN = CLOSED | {"connection_details": {"name": "127.0.0.1:5 -> 127.0.0.1:6", "peer_host": "127.0.0.1", "peer_port": 5}}


class Recorded(Serving):
    """Answers every request with `content`."""

    def __init__(self) -> None:
        content: list[Any] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Write nothing."""

        self.content = content
        self.url = f"http://127.0.0.1:{self._serve_by(HTTPServer(('127.0.0.1', 0), Handler))}"


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with Recorded() as one:
        yield one


def test_a_channel_whose_connection_has_just_closed_is_not_listed(recorded: Recorded) -> None:
    recorded.content += [CLOSED, OPEN]
    found = ChannelGateway(ManagementClient(management_nodes(recorded.url))).all()
    assert [one.connection_id for one in found] == ["127.0.0.1:5 -> 127.0.0.1:6"]
