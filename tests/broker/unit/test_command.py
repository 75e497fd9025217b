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
    """The command as a process, killed at the end if it still runs."""
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
    """What a command that cannot start says; it must be one sentence."""
    with command(*options) as process:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
    assert errors.count("\n") == 1, errors
    return errors


def test_it_says_when_and_where_it_is_ready() -> None:
    with command("--port", "0", "--management-port", "0") as process:
        parameters = pika.ConnectionParameters("127.0.0.1", ready_port(process))
        pika.BlockingConnection(parameters).close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_with_clients_connected(number: signal.Signals) -> None:
    with command("--port", "0") as process:
        connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", ready_port(process)))
        process.send_signal(number)
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker) as closed:
            connection.process_data_events(10)
        assert closed.value.reply_code == 320
        assert process.wait(10) == 0


def test_a_user_of_ones_own_replaces_guest() -> None:
    with command("--port", "0", "--user", "me:secret:with colon") as process:
        port = ready_port(process)
        login = pika.PlainCredentials("me", "secret:with colon")
        pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, credentials=login)).close()
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))


def test_it_does_not_listen_to_the_world_for_guest() -> None:
    assert "give a --user" in refusal("--host", "0.0.0.0", "--port", "0")


def test_it_refuses_what_it_cannot_do_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"not a journal")
    assert "is not an SQLite file" in refusal("--port", "0", "--data-dir", str(tmp_path))
    assert "NAME:PASSWORD" in refusal("--port", "0", "--user", "nocolon")
    assert "go together" in refusal("--port", "0", "--tls-cert", "cert.pem")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "address already in use" in refusal("--port", str(taken.getsockname()[1]))


def test_a_broker_in_the_process_lasts_as_long_as_its_block(tmp_path: Path) -> None:
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
