"""Fixtures of the API's tests: an app in this process, and real gunicorns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import create_app
from config import Settings
from gateway.metrics.instruments import keep_in_memory
from tests.api.client import ADMIN, PASSWORD, Api, Gunicorn, add_user
from tests.api.host import METRICS_TOKEN, Host
from tests.api.service import Service
from tests.support.node import BrokerNode
from tests.support.processes import free_port, wait_until
from tests.support.server import running
from tests.support.store import StoreNode

MakeApp = Callable[..., Flask]


def settings_for(data_dir: Path, **settings: Any) -> Settings:
    """Settings by default without a broker and a store, whatever the environment says."""
    nowhere = free_port()
    defaults = {
        "mongo_uri": f"mongodb://127.0.0.1:{nowhere}/none",
        "rabbitmq_url": f"amqp://127.0.0.1:{nowhere}/",
        "rabbitmq_management_url": f"http://127.0.0.1:{nowhere}",
        "data_dir": data_dir,
        "admin_password": PASSWORD,
        "consumers": "external",
        "target_allow": "127.0.0.0/8",
    }
    return Settings(_env_file=None, **{**defaults, **settings})


def end(app: Flask) -> None:
    """End its threads and connections, and count in memory: its directory may not outlive its test."""
    app.extensions["runtime"].stop(1)
    app.extensions["store"].close()
    keep_in_memory()


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Makes apps, by default without a broker and a store; their threads end with the test."""
    made: list[Flask] = []

    def make(**settings: Any) -> Flask:
        made.append(create_app(settings_for(tmp_path / "var", **settings)))
        return made[-1]

    yield make
    for app in made:
        end(app)


@pytest.fixture
def api(store: StoreNode, make_app: MakeApp, unique_name: str) -> Api:
    """A client, logged in as admin, of an app with a store and no broker. The app ends before the store is emptied,
    because of the order of the parameters."""
    client = Api(make_app(mongo_uri=store.uri(database_of(unique_name))))
    add_user(client.app, ADMIN, "admin")
    assert client.login().status_code == 200
    return client


@pytest.fixture
def make_service(broker: BrokerNode, store: StoreNode, make_app: MakeApp, unique_name: str) -> Callable[..., Service]:
    """Makes a client of an app over the store and each broker in turn, connected to both."""

    def make(**settings: Any) -> Service:
        places = {
            "mongo_uri": store.uri(database_of(unique_name)),
            "rabbitmq_url": broker.amqp_url,
            "rabbitmq_management_url": broker.management_url,
        }
        service = Service(make_app(**{**places, **settings}))
        wait_until(lambda: service.get("/health/ready").status_code == 200, 30, "the service being ready")
        return service

    return make


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """One over the default settings, so without DEFAULT_TARGET_URL."""
    return make_service()


@pytest.fixture
def gunicorn(tmp_path: Path, store: StoreNode, unique_name: str) -> Iterator[Callable[..., Gunicorn]]:
    """Starts gunicorns over the store, without a broker unless `settings` name one; they end with the test."""
    nowhere = f"127.0.0.1:{free_port()}"
    defaults = {
        "MONGO_URI": store.uri(database_of(unique_name)),
        "RABBITMQ_URL": f"amqp://{nowhere}/",
        "RABBITMQ_MANAGEMENT_URL": f"http://{nowhere}",
        "TARGET_ALLOW": "127.0.0.0/8",
    }

    with ExitStack() as stack:

        def start(*options: str, **settings: str) -> Gunicorn:
            directory = Path(tempfile.mkdtemp(dir=tmp_path))
            return stack.enter_context(running(Gunicorn(directory, {**defaults, **settings}, *options)))

        yield start


@pytest.fixture
def make_host(
    gunicorn: Callable[..., Gunicorn], broker: BrokerNode, store: StoreNode, tmp_path: Path, unique_name: str
) -> Iterator[Callable[..., Host]]:
    """Starts hosts over the store and each broker in turn; does not wait for them to be ready."""
    made: list[Host] = []

    def make(**settings: str) -> Host:
        places = {
            **broker.settings,
            "MONGO_URI": store.uri(database_of(unique_name)),
            "DATA_DIR": str(tmp_path / "shared"),
            "SECRET_KEY": "a secret key of 32 bytes for tests",
            "TARGET_ALLOW": "127.0.0.0/8",
            "METRICS_TOKEN": METRICS_TOKEN,
            **settings,
        }
        made.append(Host(gunicorn("--workers", "2", **places), tmp_path / f"worker-{len(made)}", places))
        return made[-1]

    yield make
    for one in made:
        one.worker.kill()


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    """Return a host that is ready."""
    one = make_host()
    one.wait_ready()
    return one


def database_of(name: str) -> str:
    """The database of a test with that unique name."""
    return name.replace(".", "-")[-60:].lstrip("_-")  # nx-27017 takes no name that begins so
