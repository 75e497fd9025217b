"""gunicorn's settings and hooks. The command line wins over them; the rest comes from the service's own settings."""

from __future__ import annotations

import gc
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any

from gunicorn.glogging import Logger

import logs
from config import load  # not `import config`: gunicorn takes a module-level `config` for its own setting

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

_settings = load()

SLOW_CLIENT = 5  # seconds that one read from a client, or one write to it, may take


class OurLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's events go through logs.py; its access log is off: middlewares/request_log.py writes ours."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        logs.configure(_settings.log_level, _settings.log_format, _settings.data_dir)
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
worker_class = "shared_thread.Worker"
threads = _settings.web_threads
keepalive = 30
timeout = 60
# Deliveries in flight get drain_timeout; requests and kept-alive connections come before, the publisher after them.
graceful_timeout = int(_settings.drain_timeout + _settings.publish_timeout) + 5
control_socket_disable = True  # one way more into the process, which nobody uses
http_parser = "python"
limit_request_line = 8190  # the most it takes, and about what nginx does; beyond it the answer is gunicorn's, and HTML
# Headers of proxies are for TRUSTED_PROXIES alone (app.py): gunicorn takes none from anybody.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
forwarded_allow_ips = "*"  # with none to take, the cheapest answer to who may send them
logger_class = OurLogger


def when_ready(server: Arbiter) -> None:
    """A client that stops in the middle must not hold a thread for long: the kernel sees to that. Those that drip are
    for slow_clients.py."""
    for listener in server.LISTENERS:
        sock = listener.sock
        if sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SLOW_CLIENT)
        # Accepted sockets inherit these (socket(7)).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", SLOW_CLIENT, 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SLOW_CLIENT, 0))


def pre_request(worker: Worker, req: object) -> None:
    """Nothing, where gunicorn makes a debug line of every request."""


def post_worker_init(worker: Worker) -> None:
    """Here the process is final: start its threads. What has been imported stays, and need not be looked through."""
    gc.freeze()
    worker.wsgi.extensions["runtime"].start()


def worker_exit(server: Arbiter, worker: Worker) -> None:
    """The last request is answered: finish the deliveries in flight, hand back the rest."""
    if worker.wsgi is not None:
        worker.wsgi.extensions["runtime"].stop(_settings.drain_timeout)
