"""Servers that benchmarks run against: RabbitMQ and nginx, each with a separate directory and ports."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.programs import find
from tests.support.rabbitmq import RabbitNode
from tests.support.server import running

_NGINX = """
worker_processes 1; daemon off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 10000000; client_body_buffer_size 64k; client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  split_clients $request_id $outcome {{ 50% fails; * succeeds; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ return 200; }}
    location /status {{ stub_status; }}
    location /half {{ if ($outcome = fails) {{ return 500; }} return 200; }}
  }}
}}
"""


@contextmanager
def rabbitmq() -> Iterator[RabbitNode]:
    """Run a RabbitMQ node."""
    with tempfile.TemporaryDirectory() as directory, running(RabbitNode(Path(directory))) as node:
        yield node


class Nginx(NamedTuple):
    """A running nginx: the URL under which it answers 200, and its process."""

    url: str
    pid: int


@contextmanager
def nginx() -> Iterator[Nginx]:
    """Run an nginx that answers 200, 500 to half of the requests under `half`, and its counts under `status`."""
    program = find("nginx") or "nginx"
    with tempfile.TemporaryDirectory() as directory, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        config = Path(directory) / "nginx.conf"
        config.write_text(_NGINX.format(dir=directory, port=port))
        process = subprocess.Popen([program, "-c", str(config), "-p", directory], stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield Nginx(f"http://127.0.0.1:{port}/", process.pid)
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 0.1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("nginx did not start; it is Debian's package nginx-light")
