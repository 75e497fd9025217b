"""The files in docs/deploy: nginx.conf works in front of a real gunicorn, and the others name existing settings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
import yaml
from requests.adapters import HTTPAdapter

from config import SECRETS, Settings
from tests.api.client import ADMIN, PASSWORD, ROOT, Gunicorn
from tests.support.embedded import EmbeddedNode
from tests.support.nginx import Nginx
from tests.support.processes import wait_until
from tests.support.programs import require
from tests.support.server import running

DEPLOY = ROOT / "docs" / "deploy"
SECRETS_FROM_FILES = {f"{name.upper()}_FILE" for name in SECRETS}
SETTINGS = {name.upper() for name in Settings.model_fields}


class Behind:
    """A client of the service by way of nginx, logged in; its address is not that of nginx."""

    def __init__(self, nginx: Nginx) -> None:
        self.nginx = nginx
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(nginx.certificate)
        self.session.mount("https://", From("127.0.0.2"))
        wait_until(lambda: self.call("GET", "/health/ready").ok, 20, "readiness")
        answer = self.call("POST", "/login", json={"username": ADMIN, "password": PASSWORD})
        self.session.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self.nginx.url + path, timeout=30, **options)


class From(HTTPAdapter):
    """Connects from that address."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, source_address=(self._address, 0), **options)


@pytest.fixture
def behind_nginx(
    gunicorn: Callable[..., Gunicorn], embedded: EmbeddedNode, tmp_path: Path
) -> Iterator[Callable[..., Behind]]:
    """Starts the service with nginx in front of it."""
    program = require("NGINX", "nginx")
    with ExitStack() as stack:

        def start(prefix: str = "", **settings: str) -> Behind:
            server = gunicorn("--workers", "1", **embedded.settings, **settings)
            nginx = stack.enter_context(running(Nginx(tmp_path / "nginx", program, server.port, prefix)))
            client = Behind(nginx)
            stack.enter_context(client.session)
            return client

        yield start


def test_the_service_works_behind_the_nginx_of_the_example(behind_nginx: Callable[..., Behind]) -> None:
    behind = behind_nginx(TRUSTED_PROXIES="1")
    checked = subprocess.run([*behind.nginx.command, "-t"], capture_output=True, text=True, check=False, timeout=30)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr
    assert behind.call("POST", "/createQueue", json={"queueName": "orders"}).status_code == 201
    assert behind.call("POST", "/messagePublish", json={"queueName": "orders", "message": "x"}).status_code == 200

    large = behind.call("POST", "/messagePublish", json={"queueName": "orders", "message": "x" * 9_000_000})
    assert large.status_code == 200
    assert behind.call("POST", "/messagePublish", data=b" " * (11 << 20)).status_code == 413

    lines = (b'{"queueName": "orders", "message": %d}\n' % number for number in range(2000))  # sent in chunks
    streamed = behind.call("POST", "/messagePublish", data=lines, headers={"Content-Type": "application/x-ndjson"})
    assert (streamed.status_code, streamed.json()["published"]) == (200, 2000)

    head = behind.call("GET", "/getQueues").headers
    assert "Strict-Transport-Security" in head, "it knows that the client came by https"
    assert head["Server"] == "nginx" or head["Server"].startswith("nginx/")


def test_every_url_that_the_service_gives_is_right_behind_a_path_prefix(behind_nginx: Callable[..., Behind]) -> None:
    behind = behind_nginx("/rmq", TRUSTED_PROXIES="1")
    for name in ("a", "b"):
        assert behind.call("POST", "/createQueue", json={"queueName": name}).status_code == 201
    answer = behind.call("GET", "/getQueues", params={"pageSize": 1})
    following = urljoin(answer.url, answer.links["next"]["url"])
    assert [one["queueName"] for one in behind.session.get(following, timeout=30).json()] == ["b"]

    document = behind.call("GET", "/openapi.json")
    [server] = document.json()["servers"]
    assert urljoin(document.url, server["url"]).rstrip("/") == behind.nginx.url
    collection = behind.call("GET", "/postman.json").json()
    assert {"key": "baseUrl", "value": behind.nginx.url} in collection["variable"]
    for page in ("/", "/docs"):
        answer = behind.call("GET", page)
        files = re.findall(r'(?:src|href)="(dashboard/[^"]+)"', answer.text)
        assert files
        assert all(behind.session.get(urljoin(answer.url, file), timeout=30).ok for file in files)


@pytest.mark.parametrize(("trusted", "remote"), [("1", "127.0.0.2"), ("0", "127.0.0.1")])
def test_the_audit_log_has_the_address_of_the_client_only_when_the_proxy_is_trusted(
    behind_nginx: Callable[..., Behind], trusted: str, remote: str
) -> None:
    behind = behind_nginx(TRUSTED_PROXIES=trusted)
    forged = {"X-Forwarded-For": "203.0.113.9"}
    assert behind.call("DELETE", "/deleteUser", json={"username": "nobody"}, headers=forged).status_code == 404
    [entry] = wait_until(lambda: behind.call("GET", "/getAuditLog?action=deleteUser").json())
    assert entry["remote"] == remote


def test_the_compose_file_speaks_of_settings_files_and_commands_that_there_are() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"web", "worker", "rabbitmq", "mongo", "nginx"}
    for name in ("web", "worker"):
        one = services[name]
        assert set(one["environment"]) <= SETTINGS | SECRETS_FROM_FILES
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


def secret_files(tmp_path: Path) -> Path:
    """The folder that the README's commands make for Docker."""
    readme = (DEPLOY / "README.md").read_text()
    [commands] = [block for block in re.findall(r"```bash\n(.*?)```", readme, re.DOTALL) if "docker compose" in block]
    made = "\n".join(line for line in commands.splitlines() if "secrets" in line or line.startswith("umask"))
    subprocess.run(["bash", "-euc", made], cwd=tmp_path, check=True)
    return tmp_path / "secrets"


def test_the_compose_file_gives_each_service_the_secrets_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    compose = yaml.safe_load(text)
    folder = secret_files(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    for name, secret in compose["secrets"].items():
        assert (tmp_path / secret["file"]).stat().st_mode & 0o777 == 0o644, name
    assert not re.search("PASSWORD: |SECRET_KEY: |:[^ ]*@", text), "a secret in an environment"
    for name, one in compose["services"].items():
        given = {each if isinstance(each, str) else each["source"] for each in one.get("secrets", [])}
        assert given <= set(compose["secrets"]), name
        paths = {str(value) for key, value in one.get("environment", {}).items() if key.endswith("_FILE")}
        assert paths <= {f"/run/secrets/{each}" for each in given}, name

    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in compose["services"]["web"]["environment"].items():
        monkeypatch.setenv(name, "" if "$" in str(value) else str(value).replace("/run/secrets", str(folder)))
    settings = Settings(_env_file=None)
    login = settings.rabbitmq_url.logins[0]
    assert (login.user, settings.rabbitmq_url.virtual_host) == ("workerrmq", "/")
    assert f"default_pass = {login.password}\n" in (folder / "rabbitmq.conf").read_text()
    assert (folder / "mongo_password").read_text().strip() in settings.mongo_uri.get_secret_value()
    assert settings.admin_password.get_secret_value()
    assert "docs/deploy/secrets" in (ROOT / ".gitignore").read_text(), "they would be published"
    assert "docs" in (ROOT / ".dockerignore").read_text().splitlines(), "they would be in the image"


@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("*.service")), ids=lambda path: path.name)
def test_the_systemd_units_start_what_there_is_with_settings_that_there_are(unit: Path) -> None:
    text = unit.read_text()
    [program] = re.findall(r"^ExecStart=/opt/workerrmq/\.venv/bin/\S+ (\S+)$", text, re.MULTILINE)
    assert (ROOT / program.replace(":app", ".py")).is_file(), program
    names = {part.partition("=")[0] for line in re.findall(r"^Environment=(.+)$", text, re.MULTILINE)
             for part in line.split()}  # fmt: skip
    assert names <= SETTINGS | SECRETS_FROM_FILES
    credentials = dict(re.findall(r"^LoadCredential=(\w+):(.+)$", text, re.MULTILINE))
    named = dict(re.findall(r"^Environment=(\w+)_FILE=%d/(\w+)$", text, re.MULTILINE))
    assert {name.lower() for name in named} == set(named.values()) == set(credentials)
    readme = (DEPLOY / "README.md").read_text()
    for name, path in credentials.items():
        assert path == f"/etc/workerrmq/{name}"
        assert f">{name}\n" in readme, "its file is made"
    assert "HUP" not in "".join(re.findall(r"^Exec.*$", text, re.MULTILINE)), "the first process keeps the old code"


def test_nginx_lets_go_of_idle_connections_before_the_service_does() -> None:
    """Or else a request may meet a connection that is being closed, and nginx must not send it twice."""
    ours = re.search(r"^keepalive = (\d+)$", (ROOT / "gunicorn.conf.py").read_text(), re.MULTILINE)
    its = re.search(r"^ +keepalive_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text(), re.MULTILINE)
    assert ours
    assert its
    assert int(its[1]) < int(ours[1])


def test_the_image_installs_what_is_locked_and_runs_the_service() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert "RUN pip install --no-cache-dir --require-hashes -r requirements.txt" in lines
    [settings] = [line.removeprefix("ENV ") for line in lines if line.startswith("ENV ")]
    assert {part.partition("=")[0] for part in settings.split()} <= SETTINGS
    assert lines[-1] == 'CMD ["gunicorn", "wsgi:app"]'


def test_the_health_check_of_the_image_passes_only_while_the_process_answers(
    gunicorn: Callable[..., Gunicorn], embedded: EmbeddedNode
) -> None:
    [check] = re.findall(r"^HEALTHCHECK .*CMD (\[.+\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    server = gunicorn("--workers", "1", **embedded.settings)
    program, *arguments = json.loads(check.replace("5000", str(server.port)))
    assert program == "python"

    def healthy() -> bool:
        return (
            subprocess.run([sys.executable, *arguments], capture_output=True, check=False, timeout=10).returncode == 0
        )

    assert healthy()
    server.stop()
    assert not healthy()


def test_services_of_the_compose_file_wait_only_for_services_with_a_health_check() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for one in services.values():
        for name, wanted in one.get("depends_on", {}).items():
            assert wanted == {"condition": "service_healthy"}
            assert "healthcheck" in services[name] or "build" in services[name], "the image has its own check"
