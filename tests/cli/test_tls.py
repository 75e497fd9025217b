"""docs/deploy/nginx.conf as it stands, before a real service: TLS for the command line, by an own authority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.client import PASSWORD, Gunicorn
from tests.cli.shell import Shell
from tests.support.nginx import Nginx
from tests.support.programs import require
from tests.support.server import running


@pytest.fixture
def nginx(remote: Gunicorn, tmp_path: Path) -> Iterator[Nginx]:
    """Before the service, with a certificate that only we trust."""
    with running(Nginx(tmp_path / "nginx", require("NGINX", "nginx"), remote.port)) as one:
        yield one


def test_a_service_behind_nginx_is_used_by_tls_alone(stranger: Shell, nginx: Nginx) -> None:
    stranger.environment["WORKERRMQ_URL"] = nginx.url
    assert "certificate verify failed" in stranger.fails(3, "alive")

    stranger.environment["REQUESTS_CA_BUNDLE"] = str(nginx.certificate)

    stranger.done("login", "--password-stdin", typed=PASSWORD)
    assert stranger.json("health")["status"] == "ready"
