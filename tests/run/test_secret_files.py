"""Secrets from files under run.sh: each part reads them for itself, and no environment holds them."""

from __future__ import annotations

from pathlib import Path

from tests.support.installation import Installation

PASSWORD = "a password out of a file"
KEY = "a secret key of 32 bytes out of a file"


def test_run_sh_takes_the_first_password_and_the_key_from_files(installation: Installation) -> None:
    files = {"ADMIN_PASSWORD_FILE": PASSWORD, "SECRET_KEY_FILE": KEY}
    paths = {name: installation.directory / "home" / name.lower() for name in files}
    for name, path in paths.items():
        path.write_text(f"{files[name]}\n")
    installation.start(**{name: str(path) for name, path in paths.items()})
    installation.password = PASSWORD

    assert installation.call("POST", "/createQueue", {"queueName": "orders"}).status_code == 201
    wanted = {"queueName": "orders", "url": "http://127.0.0.1:9/", "headers": {"X-Pin": "1"}}
    assert installation.call("POST", "/createConsumer", wanted).status_code == 201
    assert not (installation.project / "var" / "secret.key").exists(), "it made a key"
    for pid in installation.pids():
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert PASSWORD.encode() not in environment
        assert KEY.encode() not in environment
