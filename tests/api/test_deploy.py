"""What docs/deploy gives to copy: nginx.conf in front of a real gunicorn, and files that speak of what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from requests.adapters import HTTPAdapter

from config import Settings
from tests.api.client import ADMIN, PASSWORD, ROOT, Gunicorn
from tests.support.embedded import EmbeddedNode
from tests.support.processes import Process, free_port, wait_until

DEPLOY = ROOT / "docs" / "deploy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
AROUND = """
{user} worker_processes 1; daemon off; pid {place}/pid; error_log {place}/error.log;
events {{ }}
http {{
  access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  include {place}/workerrmq.conf;
}}
"""
SETTINGS = {name.upper() for name in Settings.model_fields}


def certificate(place: Path) -> None:
    """One that 127.0.0.1 signs for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    (place / "workerrmq.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (place / "workerrmq.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


class Nginx:
    """The example with other ports and paths, and nothing else changed."""

    def __init__(self, place: Path, service_port: int) -> None:
        assert NGINX is not None
        place.mkdir()
        self.port = free_port()
        certificate(place)
        config = (DEPLOY / "nginx.conf").read_text()
        for theirs, ours in (
            ("127.0.0.1:5000", f"127.0.0.1:{service_port}"),
            ("listen 443 ", f"listen 127.0.0.1:{self.port} "),
            ("/etc/ssl/certs/", f"{place}/"),
            ("/etc/ssl/private/", f"{place}/"),
        ):
            assert theirs in config, f"the example has no {theirs!r} any more"
            config = config.replace(theirs, ours)
        user = "user root;" if os.geteuid() == 0 else ""  # else it would not get into `place`
        (place / "workerrmq.conf").write_text(config)
        (place / "nginx.conf").write_text(AROUND.format(place=place, user=user))
        self.command = [NGINX, "-c", str(place / "nginx.conf"), "-p", str(place)]
        self.process = Process(self.command, place / "log")
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(place / "workerrmq.pem")
        self.session.mount("https://", From("127.0.0.2"))

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, f"https://127.0.0.1:{self.port}{path}", timeout=30, **options)

    def answers(self) -> bool:
        try:
            return self.call("GET", "/health/live").ok
        except requests.ConnectionError:
            return False


class From(HTTPAdapter):
    """Connects from an address of its own, so that client and nginx can be told apart."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, source_address=(self._address, 0), **options)


@pytest.fixture
def behind_nginx(
    gunicorn: Callable[..., Gunicorn], embedded: EmbeddedNode, tmp_path: Path
) -> Iterator[Callable[..., Nginx]]:
    """Starts the service with nginx in front of it, logged in."""
    if NGINX is None:
        pytest.skip("nginx is not installed; .ci/run installs it")
    made: list[Nginx] = []

    def start(**settings: str) -> Nginx:
        places = {"RABBITMQ_URL": embedded.amqp_url, "RABBITMQ_MANAGEMENT_URL": embedded.management_url}
        server = gunicorn("--workers", "1", **places, **settings)
        made.append(Nginx(tmp_path / f"nginx{len(made)}", server.port))
        made[-1].process.start()
        made[-1].process.wait_ready(made[-1].answers, 20)
        wait_until(lambda: made[-1].call("GET", "/health/ready").ok, 20, "readiness")
        answer = made[-1].call("POST", "/login", json={"username": ADMIN, "password": PASSWORD})
        made[-1].session.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return made[-1]

    yield start
    for one in made:
        one.session.close()
        one.process.stop()


def test_the_service_works_behind_the_nginx_of_the_example(behind_nginx: Callable[..., Nginx]) -> None:
    nginx = behind_nginx(TRUSTED_PROXIES="1")
    checked = subprocess.run([*nginx.command, "-t"], capture_output=True, text=True, check=False, timeout=30)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    assert nginx.call("POST", "/createQueue", json={"queueName": "orders"}).status_code == 201
    assert nginx.call("POST", "/messagePublish", json={"queueName": "orders", "message": "x"}).status_code == 200

    large = nginx.call("POST", "/messagePublish", json={"queueName": "orders", "message": "x" * 9_000_000})
    assert large.status_code == 200
    assert nginx.call("POST", "/messagePublish", data=b" " * (11 << 20)).status_code == 413

    lines = (b'{"queueName": "orders", "message": %d}\n' % number for number in range(2000))  # sent in chunks
    streamed = nginx.call("POST", "/messagePublish", data=lines, headers={"Content-Type": "application/x-ndjson"})
    assert (streamed.status_code, streamed.json()["published"]) == (200, 2000)

    head = nginx.call("GET", "/getQueues").headers
    assert "Strict-Transport-Security" in head, "it knows that the client came by https"
    assert head["Server"] == "nginx" or head["Server"].startswith("nginx/")


@pytest.mark.parametrize(("trusted", "remote"), [("1", "127.0.0.2"), ("0", "127.0.0.1")])
def test_the_audit_log_has_the_address_of_the_client_only_when_the_proxy_is_trusted(
    behind_nginx: Callable[..., Nginx], trusted: str, remote: str
) -> None:
    nginx = behind_nginx(TRUSTED_PROXIES=trusted)
    forged = {"X-Forwarded-For": "203.0.113.9"}
    assert nginx.call("DELETE", "/deleteUser", json={"username": "nobody"}, headers=forged).status_code == 404
    [entry] = wait_until(lambda: nginx.call("GET", "/getAuditLog?action=deleteUser").json())
    assert entry["remote"] == remote


def test_the_compose_file_speaks_of_settings_files_and_commands_that_there_are() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"web", "worker", "rabbitmq", "mongo", "nginx"}
    for name in ("web", "worker"):
        one = services[name]
        assert set(one["environment"]) <= SETTINGS
        assert set(one["depends_on"]) <= set(services)
        built = (DEPLOY / one["build"]["context"]).resolve()
        assert built == ROOT
        assert (built / one["build"]["dockerfile"]).is_file()
        program = one["command"][1]
        assert (ROOT / program.replace(":app", ".py")).is_file(), program
    for one in services.values():
        for volume in one.get("volumes", []):
            source = volume.partition(":")[0]
            known = source in compose["volumes"] or source.startswith("./certificates/") or (DEPLOY / source).is_file()
            assert known, volume
    secrets = re.findall(r"\$\{(\w+):\?\}", (DEPLOY / "compose.yaml").read_text())
    assert set(secrets) == {"RABBITMQ_PASSWORD", "MONGO_PASSWORD", "SECRET_KEY", "ADMIN_PASSWORD"}
    environment = {name: str(value).replace(":?", "") for name, value in services["web"]["environment"].items()}
    values = {name.lower(): re.sub(r"\$\{.*?\}", "a long enough one", value) for name, value in environment.items()}
    values |= {name: values[name].replace(" ", "") for name in ("rabbitmq_url", "mongo_uri")} | {"target_allow": ""}
    assert Settings.model_validate(values | {"trusted_proxies": 1}).vhost == "/"


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("*.service")), ids=lambda path: path.name)
def test_the_systemd_units_start_what_there_is_with_settings_that_there_are(unit: Path) -> None:
    text = unit.read_text()
    [program] = re.findall(r"^ExecStart=/opt/workerrmq/\.venv/bin/\S+ (\S+)$", text, re.MULTILINE)
    assert (ROOT / program.replace(":app", ".py")).is_file(), program
    names = {part.partition("=")[0] for line in re.findall(r"^Environment=(.+)$", text, re.MULTILINE)
             for part in line.split()}  # fmt: skip
    assert names <= SETTINGS


def test_the_image_installs_what_is_locked_and_runs_the_service() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert "RUN pip install --no-cache-dir --require-hashes -r requirements.txt" in lines
    [settings] = [line.removeprefix("ENV ") for line in lines if line.startswith("ENV ")]
    assert {part.partition("=")[0] for part in settings.split()} <= SETTINGS
    assert lines[-1] == 'CMD ["gunicorn", "wsgi:app"]'
