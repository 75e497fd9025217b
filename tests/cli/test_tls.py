"""docs/deploy/nginx.conf as it stands, before a real service: TLS for the command line, by an own authority."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.client import PASSWORD, ROOT, Gunicorn
from tests.cli.shell import Shell
from tests.support.processes import Process, free_port, wait_until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One for 127.0.0.1 that only we trust, with its key beside it."""
    made = tmp_path / "workerrmq.pem"
    names = ["-subj", "/CN=workerrmq", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names]
    files = ["-keyout", str(tmp_path / "workerrmq.key"), "-out", str(made)]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return made


@pytest.fixture
def proxied(remote: Gunicorn, certificate: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of nginx before the service; only ports and places differ from the file in docs/deploy."""
    port = free_port()
    site = (ROOT / "docs/deploy/nginx.conf").read_text()
    for ours, here in (
        ("127.0.0.1:5000", f"127.0.0.1:{remote.port}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/certs/workerrmq.pem", str(certificate)),
        ("/etc/ssl/private/workerrmq.key", str(certificate.with_suffix(".key"))),
    ):
        assert ours in site
        site = site.replace(ours, here)
    around = f"daemon off; pid {tmp_path}/nginx.pid; events {{}}\nhttp {{ access_log off;\n{site}\n}}\n"
    (tmp_path / "nginx.conf").write_text(around)
    assert NGINX
    nginx = Process([NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], tmp_path / "nginx.log")
    nginx.start()
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        nginx.stop()


def test_a_service_behind_nginx_is_used_by_tls_alone(stranger: Shell, proxied: str, certificate: Path) -> None:
    stranger.environment["WORKERRMQ_URL"] = proxied
    wait_until(lambda: "refused" not in stranger.run("alive").output, message="nginx listening")
    assert "certificate verify failed" in stranger.fails(3, "alive")

    stranger.environment["REQUESTS_CA_BUNDLE"] = str(certificate)

    stranger.done("login", "--password-stdin", typed=PASSWORD)
    assert stranger.json("health")["status"] == "ready"
