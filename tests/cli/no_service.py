"""A service by itself, in this process: for what a client sees while something is away."""

from __future__ import annotations

from threading import Thread

from flask import Flask
from werkzeug.serving import make_server

from tests.support.processes import free_port


class NoService:
    """Started and stopped at the same URL. Used by one thread."""

    def __init__(self, app: Flask) -> None:
        self._app, self._port = app, free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listens when this returns."""
        self._server = make_server("127.0.0.1", self._port, self._app, threaded=True)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), name="no_service")
        self._thread.start()

    def stop(self) -> None:
        """Connections are refused when this returns."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
