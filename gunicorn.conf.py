"""gunicorn's settings and hooks. The command line wins over them; the rest comes from the service's own settings."""

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
import config
print(config.load().model_dump_json(include={
    "bind", "web_workers", "publish_timeout", "drain_timeout", "log_level", "log_format", "data_dir"}))
"""


def _read_settings() -> SimpleNamespace:
    """Read the settings in a process of its own. config.py imports the drivers, and gevent cannot patch what they took
    from `ssl` and `threading` before (https://www.gevent.org/api/gevent.monkey.html). A wrong setting ends gunicorn;
    that process has said which."""
    done = subprocess.run([sys.executable, "-c", _READ_SETTINGS], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return SimpleNamespace(**json.loads(done.stdout))


_settings = _read_settings()

_DEAF_CLIENT = 15  # seconds that a client may take no byte of its answer


class OurLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's events go through runtime/logs.py; its access log is off: middlewares/request_log.py writes ours."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        logs.configure(_settings.log_level, _settings.log_format, Path(_settings.data_dir))
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True
        self.error_log.setLevel(logging.NOTSET)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """What a client did to its connection deserves no traceback."""
        if msg.startswith("Socket error"):
            self.warning("A client broke off, or was too slow to send its request or to take its answer.")
        else:
            super().exception(msg, *args, **kwargs)


bind = _settings.bind
workers = _settings.web_workers
worker_class = "middlewares.gunicorn_worker.Worker"  # gevent's: a connection costs a greenlet, not a thread
worker_connections = 4096  # of each worker; further ones wait in the backlog
# Seconds that a client has for the head of its first or next request.
keepalive = 5
# A worker that stops first answers its open connections, within _last_requests; then deliveries in flight get
# DRAIN_TIMEOUT. After graceful_timeout the master kills it; after timeout, it kills one that gives no sign of life.
_last_requests = math.ceil(_settings.publish_timeout) + keepalive + 2
graceful_timeout = _last_requests + math.ceil(_settings.drain_timeout) + 3
timeout = 60 + math.ceil(_settings.drain_timeout)
control_socket_disable = True  # one way more into the process, which nobody uses
http_parser = "python"
limit_request_line = 8190  # gunicorn's maximum, and about nginx's; middlewares/gunicorn_worker.py answers longer ones
# Headers of proxies are for TRUSTED_PROXIES alone (app.py): gunicorn takes none from anybody.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
forwarded_allow_ips = "*"  # with none to take, the cheapest answer to who may send them
logger_class = OurLogger


def when_ready(server: Arbiter) -> None:
    """Have the kernel close the connection of a client that takes nothing of its answer (tcp(7)). Accepted sockets
    inherit this."""
    for listener in server.LISTENERS:
        if listener.sock.family in {socket.AF_INET, socket.AF_INET6}:
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAF_CLIENT * 1000)


def ssl_context(config: Config, default_ssl_context_factory: Callable[[], SSLContext]) -> SSLContext:
    """Give a client as long for its TLS handshake as for the head of a request; gevent waits for ever."""
    context = default_ssl_context_factory()
    context.wrap_socket = timed_handshake(context.wrap_socket, config.keepalive)  # type: ignore[method-assign]
    return context


def pre_request(worker: Worker, req: object) -> None:
    """Do nothing; by default gunicorn writes a debug line for each request."""


def post_request(worker: Worker, req: Any, environ: dict[str, Any], resp: object) -> None:
    """Let other requests have their turn."""
    body = environ.get("wsgi.input")
    if isinstance(body, TimedInput):
        end_turn(req, body, environ["gunicorn.socket"])


def post_worker_init(worker: Worker) -> None:
    """Here the process is final: start its threads. What has been imported stays, and need not be looked through."""
    gc.freeze()
    allow_many()
    worker.cfg.set("graceful_timeout", _last_requests)  # in this process; the master's is for both
    worker.wsgi.extensions["runtime"].start()


def worker_exit(server: Arbiter, worker: Worker) -> None:
    """The last request is answered: finish the deliveries in flight, hand back the rest."""
    if worker.wsgi is not None:
        worker.wsgi.extensions["runtime"].stop(_settings.drain_timeout)
