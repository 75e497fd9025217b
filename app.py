"""The composition root: creates the application from its parts, with wiring.py. Opens no connection and starts no
thread."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flask import Flask
from flask_pymongo import PyMongo
from pymongo.database import Database
from werkzeug.middleware.proxy_fix import ProxyFix

from commands import service
from commands import users as user_commands
from config import Settings, SettingsError, load
from domain.client_address import address_of
from domain.origins import parse_origins
from gateway.amqp.publisher_thread import PublisherThread
from gateway.metrics.instruments import count_request
from gateway.mongo import Store, client_options
from gateway.mongo.collection import Document
from gateway.mongo.secrets import Sealer
from gateway.tracing import Tracing, open_tracing
from middlewares.body_timeout import BodyTimeout
from middlewares.cors import allow_origins
from middlewares.request_log import RequestLog
from middlewares.security_headers import SecurityHeaders
from routes import (
    api_keys,
    audit_log,
    configuration,
    connections,
    consumers,
    dashboard,
    deliveries,
    documentation,
    errors,
    exchanges,
    history,
    messages,
    metrics,
    overview,
    policies,
    queues,
    replays,
    schedule,
    system,
    users,
)
from runtime import logs
from runtime.threads import Part, Runtime
from services.bundle import Services
from services.complaints import Complaints
from services.reconciler import Reconciler
from wiring import services_of
from WorkerRMQ import reconciler

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

APIS = [
    overview.api,
    queues.api,
    exchanges.api,
    policies.api,
    messages.api,
    schedule.api,
    consumers.api,
    deliveries.api,
    history.api,
    replays.api,
    connections.api,
    users.api,
    api_keys.api,
    audit_log.api,
    configuration.api,
    system.api,
    metrics.api,
    documentation.api,
    dashboard.api,
]


def create_app(settings: Settings | None = None) -> Flask:
    """Return the WSGI application; `settings` default to those of the environment.

    RabbitMQ and MongoDB may be down: routes that need them answer 503 until they are up. `extensions["runtime"]` owns
    the threads: `start` it after the last fork. Raises SettingsError."""
    settings = settings or load()
    _check_writable(settings.data_dir)
    logs.configure(settings.log_level, settings.log_format, settings.data_dir)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_BODY_BYTES"] = settings.max_body_bytes
    app.url_map.merge_slashes = False  # API clients cannot use the redirect that merging causes
    store = _store(app, settings)
    tracing = open_tracing(settings.otel_exporter_otlp_endpoint.get_secret_value())
    publisher = PublisherThread(settings.rabbitmq_url)
    complaints = Complaints()
    worker = reconciler(settings, store, tracing, complaints) if settings.consumers == "inline" else None
    app.extensions["store"] = store
    app.extensions["services"] = services = services_of(settings, store, publisher, worker, tracing, complaints)
    app.extensions["runtime"] = runtime = Runtime(
        _parts(complaints, publisher, services, worker, tracing), services.login.prepare, settings.drain_timeout
    )
    app.extensions["description"] = documentation.Description(APIS)
    errors.install(app)
    if settings.cors_origins:
        allow_origins(app, parse_origins(settings.cors_origins))
    service.install(app, store, settings.data_dir)
    user_commands.install(app, services.users)
    for api in APIS:
        app.register_blueprint(api.blueprint)
    app.wsgi_app = _wrapped(app.wsgi_app, runtime, store, settings)  # type: ignore[method-assign,assignment]
    return app


def _wrapped(wsgi_app: WSGIApplication, runtime: Runtime, store: Store, settings: Settings) -> WSGIApplication:
    def started(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        runtime.start()  # other servers than gunicorn have no hook for this
        environ["REMOTE_ADDR"] = address_of(environ.get("REMOTE_ADDR", ""))  # some proxies append the port
        with store.unit_of_work():
            return wsgi_app(environ, start_response)

    wrapped: WSGIApplication = SecurityHeaders(BodyTimeout(started, settings.body_timeout))
    wrapped = RequestLog(wrapped, count_request)
    if hops := settings.trusted_proxies:
        return ProxyFix(wrapped, x_for=hops, x_proto=hops, x_host=hops, x_prefix=hops)
    return wrapped


def _check_writable(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise SettingsError(f"DATA_DIR {directory} is not writable for this user")


def _parts(
    complaints: Complaints,
    publisher: PublisherThread,
    services: Services,
    worker: Reconciler | None,
    tracing: Tracing | None,
) -> list[Part]:
    """Return the parts in their start order. They stop in reverse order."""
    parts: list[Part] = [complaints, tracing] if tracing else [complaints]
    parts += [services.scheduled, publisher, services.audit, services.replays, services.idempotency]
    parts += [services.events, services.problems]
    return [*parts, worker] if worker else parts


def _store(app: Flask, settings: Settings) -> Store:
    mongo = PyMongo(app, settings.mongo_uri.get_secret_value(), **client_options())
    database = cast("Database[Document]", mongo.db)
    return Store(database, Sealer.of(settings.secret_key.get_secret_value(), settings.data_dir))
