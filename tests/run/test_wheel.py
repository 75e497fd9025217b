"""The wheel is the whole service: installed into a fresh virtual environment, it runs in any directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from config import Settings
from runtime.version import VERSION
from tests.support.processes import Process, free_port
from tests.support.target import Target

PROJECT = Path(__file__).parents[2]
COMMANDS = re.search(r"## As a wheel\n.*?```bash\n(.*?)```", (PROJECT / "docs/deploy/README.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory, after the commands of the documentation. Its .venv contains the wheel, and nothing refers to
    the project's directory."""
    directory = tmp_path_factory.mktemp("wheel")
    assert COMMANDS
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(directory), str(PROJECT)], check=True, timeout=120)
    (directory / "requirements.txt").write_text((PROJECT / "requirements.txt").read_text())
    steps = [line for line in COMMANDS[1].splitlines() if not line.startswith("workerrmq")]
    subprocess.run(["bash", "-euc", "\n".join(steps)], cwd=directory, check=True, timeout=400)
    return directory


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as one:
        yield one


def program(directory: Path, *arguments: str, log: str = "output.log", **settings: str) -> Process:
    ours = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in ours and name != "PYTHONPATH"}
    command = [str(directory / ".venv/bin/workerrmq"), *arguments]
    return Process(command, directory / log, {**kept, **settings}, directory)


def finished(process: Process) -> int | None:
    process.start()
    assert process._child
    return process._child.wait(60)


def test_the_installed_command_starts_a_service_that_delivers(installed: Path, target: Target) -> None:
    port = free_port()
    url, password = f"http://127.0.0.1:{port}", "a password for the admin"
    service = program(installed, "start", BIND=f"127.0.0.1:{port}", ADMIN_PASSWORD=password)
    service.start()
    try:
        service.wait_ready(lambda: "Ctrl+C stops it" in service.output(), 90)
        login = {"username": "admin", "password": password}
        with requests.Session() as admin:
            admin.headers["Authorization"] = f"Bearer {admin.post(f'{url}/login', json=login).json()['token']}"
            assert admin.post(f"{url}/createQueue", json={"queueName": "q"}).status_code == 201
            template = {"queueName": "q", "url": target.url(), "payload": {"template": '{"got": {{ body|tojson }}}'}}
            created = admin.post(f"{url}/createConsumer", json=template)
            assert created.status_code == 201, created.text
            assert admin.post(f"{url}/messagePublish", json={"queueName": "q", "message": {"a": 1}}).ok
            assert target.wait_for(1, 30)[0].body == b'{"got": {"a": 1}}'
            assert admin.get(f"{url}/openapi.json").json()["info"]["version"] == VERSION
            page = admin.get(f"{url}/").text
            reset = program(installed, "reset-password", "admin", log="reset.log", BIND=f"127.0.0.1:{port}")
            assert finished(reset) == 0, reset.output()
            linked = re.findall(r'(?:src|href)="([^"#:]+)"', page)
            assert linked
            assert all(admin.get(f"{url}/{path.lstrip('/')}").ok for path in linked), linked
    finally:
        assert service.stop() == 0, service.output()


def test_the_subcommands_start_the_programs_of_the_service(installed: Path) -> None:
    assert finished(usage := program(installed)) == 1
    assert "usage: workerrmq start" in usage.output()
    assert finished(program(installed, "web", "--check-config")) == 0
    assert finished(worker := program(installed, "worker", MONGO_URI="nonsense")) == 1
    assert "configuration: MONGO_URI" in worker.output()
    assert finished(listed := program(installed, "flask", "users", "--help")) == 0
    assert "set-password" in listed.output()


def test_the_wheel_wants_what_is_locked_and_has_the_version_of_the_changelog(installed: Path) -> None:
    [wheel] = installed.glob("*.whl")
    assert wheel.name == f"workerrmq-{VERSION}-py3-none-any.whl"
    subprocess.run([installed / ".venv/bin/pip", "check"], check=True, timeout=60)
    released = re.findall(r"^## \[?(\d+\.\d+\.\d+)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == VERSION
