"""Every program that reads a wrong URL exits at once, with one sentence and no part of a password: by `config.load`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import SettingsError, load

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
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(directory), "SECRET_KEY": "x" * 32, **settings}
    return subprocess.run(
        PROGRAMS[program], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("name", "url"), [URLS[0], URLS[9]], ids=["amqp", "mongo"])
def test_each_program_refuses_a_wrong_url(program: str, name: str, url: str, tmp_path: Path) -> None:
    ended = run(program, tmp_path, **{name: url})

    assert ended.returncode not in (0, None)
    assert_one_sentence(ended.stdout + ended.stderr, name)


@pytest.mark.parametrize(("name", "url"), URLS)
def test_each_wrong_url_is_refused(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x" * 32)
    monkeypatch.setenv(name, url)

    with pytest.raises(SettingsError) as refused:
        load(_env_file=None)

    assert_one_sentence(f"{refused.value}\n", name)
    assert refused.value.__suppress_context__, "Python would print the cause, which quotes the URL"


def assert_one_sentence(said: str, name: str) -> None:
    assert said.startswith(f"configuration: {name} ")
    assert said.count("\n") == 1
    assert CANARY not in said
    assert "Top" not in said
