"""gunicorn's settings and hooks, derived from the service's own settings. gunicorn's command line overrides them."""

from __future__ import annotations

import gc
import json
import logging
import math
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from gunicorn.glogging import Logger

from middlewares.body_timeout import TimedInput
from middlewares.gunicorn_worker import end_turn, timed_handshake
from runtime import logs
from runtime.open_files import allow_many

if TYPE_CHECKING:
    from ssl import SSLContext

    from gunicorn.arbiter import Arbiter
    from gunicorn.config import Config
    from gunicorn.workers.base import Worker

_READ_SETTINGS = """
import gc; gc.disable()
import config
print(config.load().model_dump_json(include={
    "bind", "web_workers", "publish_timeout", "drain_timeout", "log_level", "log_format", "data_dir"}))
"""


def _read_settings() -> SimpleNamespace:
    """Return the settings, read in a separate process. config.py imports the drivers, and gevent cannot patch objects
    that were imported from `ssl` and `threading` before (https://www.gevent.org/api/gevent.monkey.html). Exit if a
    setting is invalid; that process has printed the error."""
    done = subprocess.run([sys.executable, "-c", _READ_SETTINGS], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return SimpleNamespace(**json.loads(done.stdout))


_settings = _read_settings()

_SEND_TIMEOUT = 15  # seconds without progress while a client receives its answer


class OurLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Sends gunicorn's events through runtime/logs.py. Its access log is off, because middlewares/request_log.py logs
    requests."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        logs.configure(_settings.log_level, _settings.log_format, Path(_settings.data_dir))
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
        self.error_log.setLevel(logging.NOTSET)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log a traceback, except for errors that a client causes."""
        if msg.startswith("Socket error"):
            self.warning("A client disconnected, or was too slow to send its request or to receive its answer.")
        else:
            super().exception(msg, *args, **kwargs)


bind = _settings.bind
workers = _settings.web_workers
worker_class = "middlewares.gunicorn_worker.Worker"  # gevent's: a connection costs a greenlet, not a thread
worker_connections = 4096  # per worker; further connections wait in the backlog
# Seconds for a client to send the head of its first or next request.
keepalive = 5
# At shutdown, a worker first answers open requests, within _last_requests, and then gives deliveries in flight
# DRAIN_TIMEOUT. The master kills a worker that still runs after graceful_timeout, and one that hangs for timeout.
_last_requests = math.ceil(_settings.publish_timeout) + keepalive + 2
graceful_timeout = _last_requests + math.ceil(_settings.drain_timeout) + 3
timeout = 60 + math.ceil(_settings.drain_timeout)
control_socket_disable = True  # an unused interface to the process
http_parser = "python"
limit_request_line = (
    8190  # gunicorn's maximum, about nginx's default; middlewares/gunicorn_worker.py answers longer ones
)
# app.py evaluates proxies' headers, by TRUSTED_PROXIES; gunicorn must ignore them.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
forwarded_allow_ips = "*"  # skips the check of the sender: there are no headers to protect
logger_class = OurLogger


def when_ready(server: Arbiter) -> None:
    """Make the kernel close connections of clients that stop receiving (TCP_USER_TIMEOUT, tcp(7)). Accepted sockets
    inherit the option."""
    for listener in server.LISTENERS:
        if listener.sock.family in {socket.AF_INET, socket.AF_INET6}:
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SEND_TIMEOUT * 1000)


def ssl_context(config: Config, default_ssl_context_factory: Callable[[], SSLContext]) -> SSLContext:
    """Limit the TLS handshake to the time for the head of a request; gevent has no limit."""
    context = default_ssl_context_factory()
    context.wrap_socket = timed_handshake(context.wrap_socket, config.keepalive)  # type: ignore[method-assign]
    return context


def pre_request(worker: Worker, req: object) -> None:
    """Do nothing. gunicorn's default writes a debug line for each request."""


def post_request(worker: Worker, req: Any, environ: dict[str, Any], resp: object) -> None:
    """Finish the request, and let other requests run."""
    body = environ.get("wsgi.input")
    if isinstance(body, TimedInput):
        end_turn(req, body, environ["gunicorn.socket"])


def post_fork(server: Arbiter, worker: Worker) -> None:
    """Import the application without garbage collections, which take a fifth of the time and find nothing."""
    gc.disable()


def post_worker_init(worker: Worker) -> None:
    """Start the threads, because the process does not fork again. Exclude imported modules from garbage collection."""
    gc.freeze()
    gc.enable()
    allow_many()
    worker.cfg.set("graceful_timeout", _last_requests)  # in this process only; the master's value includes the drain
    worker.wsgi.extensions["runtime"].start()


def worker_exit(server: Arbiter, worker: Worker) -> None:
    """After the last request, finish the deliveries in flight and give back the rest."""
    if worker.wsgi is not None:
        worker.wsgi.extensions["runtime"].stop(_settings.drain_timeout)
