"""`python -m broker` and `broker.running()`."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import pytest

import broker

_PROJECT = Path(__file__).parents[3]


@contextmanager
def command(*options: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command as a process, and kill it after the test."""
    process = subprocess.Popen([sys.executable, "-m", "broker", *options], cwd=_PROJECT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ready_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(r"ready amqp://127\.0\.0\.1:(\d+)(?: http://127\.0\.0\.1:\d+)?\n", line)
    assert match, line
    return int(match[1])


def refusal(*options: str) -> str:
    """Return the error of a command that cannot start; it must be one sentence."""
    with command(*options) as process:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
    assert errors.count("\n") == 1, errors
    return errors


def test_the_ready_line_has_the_address() -> None:
    with command("--port", "0", "--management-port", "0") as process:
        parameters = pika.ConnectionParameters("127.0.0.1", ready_port(process))
        pika.BlockingConnection(parameters).close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_broker_cleanly_with_clients_connected(number: signal.Signals) -> None:
    with command("--port", "0") as process:
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", ready_port(process)))
        process.send_signal(number)
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
            connection.process_data_events(10)
        assert closed.value.reply_code == 320
        assert process.wait(10) == 0


def test_the_user_option_replaces_guest() -> None:
    with command("--port", "0", "--user", "me:secret:with colon") as process:
        port = ready_port(process)
        login = pika.PlainCredentials("me", "secret:with colon")
        pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, credentials=login)).close()
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))


def test_guest_is_refused_on_a_public_address() -> None:
    assert "Set --user" in refusal("--host", "0.0.0.0", "--port", "0")


def test_a_refused_start_prints_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"not a journal")
    assert "is not an SQLite file" in refusal("--port", "0", "--data-dir", str(tmp_path))
    assert "NAME:PASSWORD" in refusal("--port", "0", "--user", "nocolon")
    assert "require each other" in refusal("--port", "0", "--tls-cert", "cert.pem")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "address already in use" in refusal("--port", str(taken.getsockname()[1]))


def test_an_in_process_broker_stops_with_its_block(tmp_path: Path) -> None:
    for expected in ("absent", "there"):
        with broker.running(tmp_path) as url:
            connection = pika.BlockingConnection(pika.URLParameters(url))
            channel = connection.channel()
            if expected == "there":
                channel.queue_declare("q", passive=True)
            channel.queue_declare("q", durable=True)
            connection.close()
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.URLParameters(url))
