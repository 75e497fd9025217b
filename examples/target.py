"""A target to try the service with: prints every delivered message and answers 200.

`python3 examples/target.py [PORT]` requires only Python.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Target(BaseHTTPRequestHandler):
    """Accepts any path. X-Queue-Name is in every delivery, X-Delivery-Attempt in each of one message."""

    protocol_version = "HTTP/1.1"  # keeps connections open between deliveries

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        queue, attempt = self.headers.get("X-Queue-Name"), self.headers.get("X-Delivery-Attempt")
        what = "a batch" if attempt is None else f"attempt {attempt}"
        print(f"delivered from {queue}, {what}: {body.decode(errors='replace')}", flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_PATCH = do_POST  # noqa: N815 - http.server's naming

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's naming
        """Log no requests: the program prints the deliveries."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8099
    with ThreadingHTTPServer(("127.0.0.1", port), Target) as server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)
