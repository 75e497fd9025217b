"""A small HTTP server for the probes and metrics of a process that has no web server. The caller supplies the pages."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Answer(NamedTuple):
    """The answer to a GET request."""

    status: HTTPStatus
    content_type: str
    body: bytes


Page = Callable[[Message], Answer]
"""Answers a GET request; the argument contains its header fields."""


class ProbeServer:
    """Owns a thread that accepts connections, and one thread for each open request. Any thread may call `stop`."""

    def __init__(self, bind: str, pages: Mapping[str, Page], *, client_timeout: float = 5.0) -> None:
        """Serve `pages`, keyed by path, at `bind` (host:port) as soon as `start` is called. A client that is silent for
        `client_timeout` seconds is disconnected. Raises OSError if the address is not available."""
        host, _, port = bind.rpartition(":")
        host = host.strip("[]")

        class Request(BaseHTTPRequestHandler):
            timeout = client_timeout

            def do_GET(self) -> None:
                page = pages.get(self.path.partition("?")[0])
                answer = page(self.headers) if page else Answer(HTTPStatus.NOT_FOUND, "text/plain", b"Not found\n")
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                """Log nothing: a probe comes every few seconds."""

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, *_: object) -> None:
                """Ignore clients that disconnect."""

        self._server = Server((host, int(port)), Request)
        self._thread = threading.Thread(target=self._server.serve_forever, name="workerrmq-probes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
