"""Many hostile connections at once: other clients' requests stay fast, with nginx in front and without it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from statistics import median
from threading import Event

import pytest
import requests

from tests.api.client import Gunicorn
from tests.support.attack import ATTACKS, under
from tests.support.nginx import Nginx
from tests.support.programs import require
from tests.support.server import running
from tests.support.store import StoreNode

FAST = 12.0
"""Seconds, generously, for a loaded machine; benchmarks/attacks.py measures. Undefended, it is 20 s and more."""
REQUESTS = 5
"""The minimum number of requests, so that a pause of the machine does not decide."""
KEEP_ALIVE = 2
"""Seconds that the service waits for a request's head on a connection. nginx in front of it waits for 15."""
LONGER_THAN_KEPT_ALIVE = KEEP_ALIVE + 1.0
"""Seconds: the first connections have been disconnected by then, and are replaced."""
PAUSE = 0.05
"""Seconds between two requests of the other client."""

pytestmark = pytest.mark.xdist_group("attacks")  # they share a server


@pytest.fixture(scope="module")
def server(store_node: StoreNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """One worker, and no broker."""
    settings = {"MONGO_URI": store_node.uri("attacks"), "TRUSTED_PROXIES": "1"}
    options = ("--workers", "1", "--keep-alive", str(KEEP_ALIVE))
    with running(Gunicorn(tmp_path_factory.mktemp("attacks"), settings, *options)) as one:
        yield one
        assert "Traceback" not in one.process.output()


@pytest.fixture(scope="module")
def nginx(server: Gunicorn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """In front of the server."""
    with running(Nginx(tmp_path_factory.mktemp("attacks") / "nginx", require("NGINX", "nginx"), server.port)) as one:
        yield one


@pytest.fixture(scope="module")
def token(server: Gunicorn) -> str:
    return server.login()


def usual_delay(url: str, token: str, verify: str | None = None) -> float:
    """Return the median of the seconds that requests take; each uses a new connection. A request that is answered 503
    (the server was too busy to read the store's answer in time) is repeated, and its time goes on."""
    delays: list[float] = []
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {token}"}
    while time.monotonic() - began < LONGER_THAN_KEPT_ALIVE or len(delays) < REQUESTS:
        asked = time.monotonic()
        while (
            answer := requests.get(f"{url}/getConsumers", headers=headers, timeout=30, verify=verify)
        ).status_code == 503:
            assert time.monotonic() - asked < REQUESTS * FAST
        assert answer.status_code == 200
        delays.append(time.monotonic() - asked)
        Event().wait(PAUSE)
    return median(delays)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_delays_no_other_client(server: Gunicorn, token: str, name: str) -> None:
    with under(ATTACKS[name], server.port):
        assert usual_delay(server.url, token) < FAST
    assert server.process.running


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_nginx_delays_no_other_client(nginx: Nginx, token: str, name: str) -> None:
    context = ssl.create_default_context(cafile=str(nginx.certificate))
    with under(ATTACKS[name], nginx.port, context):
        assert usual_delay(nginx.url, token, str(nginx.certificate)) < FAST
