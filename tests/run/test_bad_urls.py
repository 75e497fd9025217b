"""Every program that reads a wrong URL exits at once, with one sentence and no part of a password."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CANARY = "Secret9"

PROGRAMS = {
    "worker": [sys.executable, "WorkerRMQ.py"],
    "web": [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", "127.0.0.1:0"],
    "launcher": [sys.executable, "-m", "launcher"],
    "reset-password": [sys.executable, "-m", "launcher.reset_password"],
    "flask": [sys.executable, "-m", "flask", "--app", "wsgi", "users", "list"],
}

URLS = [
    ("RABBITMQ_URL", f"amqp://user:Top/{CANARY}@h/"),
    ("RABBITMQ_URL", f"amqp://user:12?{CANARY}@h/"),
    ("RABBITMQ_URL", f"amqp://user:{CANARY}@h/?verify=verify_none"),
    ("RABBITMQ_URL", f"amqp://user:{CANARY}@h/?heartbeat=soon"),
    ("RABBITMQ_URL", f" amqp://user:{CANARY}@h/"),
    ("RABBITMQ_URL", f"amqp://user:{CANARY}@h:port/"),
    ("RABBITMQ_URL", f"amqp://user:{CANARY}@h1,,h2/"),
    ("RABBITMQ_MANAGEMENT_URL", f"http://user:Top/{CANARY}@h"),
    ("RABBITMQ_MANAGEMENT_URL", f"amqp://user:{CANARY}@h"),
    ("MONGO_URI", f"mongodb://user:Top/{CANARY}@h/db"),
    ("MONGO_URI", f"mongodb://user:{CANARY}@h/db?nonsense=1"),
    ("MONGO_URI", f"mongodb://user:{CANARY}@h:port/db"),
]


def run(program: str, directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(directory), "SECRET_KEY": "x", **settings}
    return subprocess.run(
        PROGRAMS[program], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("name", "url"), [URLS[0], URLS[2], URLS[9]], ids=["amqp", "parameter", "mongo"])
def test_each_program_refuses_a_wrong_url(program: str, name: str, url: str, tmp_path: Path) -> None:
    refused(program, name, url, tmp_path)


@pytest.mark.parametrize(("name", "url"), URLS)
def test_the_worker_refuses_each_wrong_url(name: str, url: str, tmp_path: Path) -> None:
    refused("worker", name, url, tmp_path)


def refused(program: str, name: str, url: str, directory: Path) -> None:
    ended = run(program, directory, **{name: url})

    said = ended.stdout + ended.stderr
    assert ended.returncode not in (0, None)
    assert said.startswith(f"configuration: {name} ")
    assert said.count("\n") == 1
    assert CANARY not in said
    assert "Top" not in said
