"""Many hostile connections at once: other clients' requests stay fast, with nginx in front and without it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.api.client import Gunicorn
from tests.support.attack import ATTACKS, under
from tests.support.nginx import Nginx
from tests.support.programs import require
from tests.support.server import running

FAST = 5.0
"""Seconds, generously, for a loaded machine; benchmarks/attacks.py measures. Undefended, it is 20 s and more."""
LONGER_THAN_KEPT_ALIVE = 6.0
"""Seconds: the first connections have been disconnected by then, and are replaced."""


def slowest(url: str, token: str, verify: str | None = None) -> float:
    """Seconds that the slowest of many requests takes; each has a connection of its own."""
    longest, began = 0.0, time.monotonic()
    while time.monotonic() - began < LONGER_THAN_KEPT_ALIVE:
        asked = time.monotonic()
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"{url}/getConsumers", headers=headers, timeout=30, verify=verify)
        assert answer.status_code == 200
        longest = max(longest, time.monotonic() - asked)
    return longest


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_delays_no_other_client(gunicorn: Callable[..., Gunicorn], name: str) -> None:
    server = gunicorn("--workers", "1")
    token = server.login()
    with under(ATTACKS[name], server.port):
        assert slowest(server.url, token) < FAST
    assert "Traceback" not in server.process.output()


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_nginx_delays_no_other_client(
    gunicorn: Callable[..., Gunicorn], tmp_path: Path, name: str
) -> None:
    server = gunicorn("--workers", "1", TRUSTED_PROXIES="1")
    token = server.login()
    with running(Nginx(tmp_path / "nginx", require("NGINX", "nginx"), server.port)) as nginx:
        context = ssl.create_default_context(cafile=str(nginx.certificate))
        with under(ATTACKS[name], nginx.port, context):
            assert slowest(nginx.url, token, str(nginx.certificate)) < FAST
    assert "Traceback" not in server.process.output()
