"""A server of the standard library in a thread of the test's process."""

from __future__ import annotations

import socketserver
import threading
from types import TracebackType
from typing import Self


class Serving:
    """Base of servers that run until `stop`, or until their with block ends."""

    def _serve_by(self, server: socketserver.TCPServer) -> int:
        """Start serving, and return the port."""
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        port: int = server.socket.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Refuse connections from now on."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
