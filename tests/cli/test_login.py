"""The login, and the choice of the service."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from cli.description import load
from cli.service import Service
from tests.api.client import PASSWORD, Gunicorn
from tests.cli.no_service import NoService
from tests.cli.shell import Shell
from tests.support.processes import free_port
from tests.support.target import Target


def test_a_login_is_kept_for_its_owner_only_until_the_logout(stranger: Shell) -> None:
    assert "flask rmq login" in stranger.fails(4, "queues", "list")
    said = stranger.done("login", typed=f"{PASSWORD}\n")
    assert "as admin (role admin) until" in said
    assert PASSWORD not in said
    stranger.done("queues", "list")
    kept = stranger.home / ".config" / "workerrmq" / "logins.json"
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    token = next(iter(json.loads(kept.read_text())["tokens"].values()))
    stranger.done("logout")
    stranger.fails(4, "queues", "list")
    assert token not in kept.read_text()
    stranger.environment["WORKERRMQ_API_KEY"] = token
    refused = stranger.fails(4, "queues", "list")
    assert "WORKERRMQ_API_KEY" in refused
    assert "Log in with" not in refused, "a login would not go before it"


def test_the_service_that_was_logged_in_to_is_meant_from_then_on(stranger: Shell, remote: Gunicorn) -> None:
    stranger.environment["WORKERRMQ_URL"] = None
    stranger.done("--url", f"{remote.url}/", "login", "admin", "--password-stdin", typed=f"{PASSWORD}\n")
    stranger.done("queues", "list")


def test_the_configuration_is_where_the_user_has_it(stranger: Shell, tmp_path: Path) -> None:
    stranger.environment["XDG_CONFIG_HOME"] = str(tmp_path / "elsewhere")
    stranger.done("login", "--password-stdin", typed=PASSWORD)
    assert (tmp_path / "elsewhere" / "workerrmq" / "logins.json").is_file()


def test_a_wrong_password_is_an_error(stranger: Shell) -> None:
    assert "wrong" in stranger.fails(1, "login", "--password-stdin", typed="not the password")


def test_a_service_that_is_down_is_an_error(stranger: Shell) -> None:
    stranger.environment["WORKERRMQ_URL"] = f"http://127.0.0.1:{free_port()}"
    assert "cannot be reached: Connection refused" in stranger.fails(3, "queues", "list")
    assert "dead-letters" in stranger.done("--help")
    stranger.environment["WORKERRMQ_URL"] = "rmq.example.com"
    assert "must look like https://" in stranger.fails(2, "queues", "list")
    stranger.environment["WORKERRMQ_URL"] = f"http://admin:{PASSWORD}@127.0.0.1"
    assert PASSWORD not in stranger.fails(2, "queues", "list")


def test_an_answer_of_another_service_is_an_error(stranger: Shell, target: Target) -> None:
    stranger.environment["WORKERRMQ_URL"] = target.url("")
    assert "Check the URL." in stranger.fails(3, "queues", "list")


def test_the_cached_description_is_used_while_the_service_is_down_and_refreshed_afterwards(
    stranger: Shell, no_service: NoService
) -> None:
    stranger.environment["WORKERRMQ_URL"] = no_service.url
    stranger.done("queues", "--help")
    (kept,) = (stranger.home / ".cache" / "workerrmq").iterdir()
    kept.write_text(kept.read_text().replace("Create a queue", "Remembered"))
    assert "Remembered" in stranger.done("queues", "--help")

    os.utime(kept, (0, 0))
    no_service.stop()

    assert "Remembered" in stranger.done("queues", "--help")
    assert "cannot be reached" in stranger.fails(3, "queues", "list")
    no_service.start()
    assert "Create a queue" in stranger.done("queues", "--help")


def test_a_description_is_fetched_again_after_each_period_whatever_the_clock_says(
    no_service: NoService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    service = Service(no_service.url, None)
    load(service)
    (kept,) = (tmp_path / "workerrmq").iterdir()
    for age in (10, 3600, -3600):  # the clock may have been set back
        load(service, max_age=5)
        fetched = kept.stat().st_ino
        load(service, max_age=5)
        assert kept.stat().st_ino == fetched
        os.utime(kept, (time.time() - age, time.time() - age))
        load(service, max_age=5)
        assert kept.stat().st_ino != fetched


def test_credentials_from_netrc_are_not_sent(shell: Shell) -> None:
    (shell.home / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (shell.home / ".netrc").chmod(0o600)
    shell.done("queues", "list")


def test_logins_that_cannot_be_read_are_said_to_be(stranger: Shell) -> None:
    logins = stranger.home / ".config" / "workerrmq" / "logins.json"
    logins.parent.mkdir(parents=True)
    logins.write_text("{broken")
    assert f"{logins} cannot be read" in stranger.fails(1, "queues", "list")
