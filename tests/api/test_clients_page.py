"""docs/CLIENTS.md: every program on the page does the main job, and the receiver takes each message once."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.api.client import PASSWORD, ROOT, Gunicorn, whole_service
from tests.support.processes import Process, free_port, wait_until
from tests.support.programs import require

PAGE = (ROOT / "docs" / "CLIENTS.md").read_text()
BLOCKS = re.findall(r"^## (.+?)$|^```(\w+)\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)

GO = {
    "GOCACHE": str(Path.home() / ".cache" / "go-build"),
    "GOFLAGS": "'-gcflags=all=-N -l'",  # without optimization: Go compiles its library at the first run on a machine
    "GOTOOLCHAIN": "local",
    "CGO_ENABLED": "0",
}


def block(section: str, language: str) -> str:
    """The first block of a section in that language."""
    here = ""
    for heading, found, content in BLOCKS:
        here = heading or here
        if (here, found) == (section, language):
            return str(content)
    raise AssertionError(f"{section} has no {language}")


class Reader:
    """Somebody who follows the page in one directory."""

    def __init__(self, directory: Path, service: Gunicorn) -> None:
        self.directory, self._port, self._service = directory, free_port(), service
        self.environment = {"HOME": str(directory), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        self.file("receiver.py", block("A receiver in Flask", "python"))
        key = self.run("bash", "-c", self.preamble() + 'printf "%s\n" "$WORKERRMQ_API_KEY" "$SIGNING_SECRET"')
        names = ("WORKERRMQ_API_KEY", "SIGNING_SECRET")
        self.environment |= {"WORKERRMQ_URL": service.url, **dict(zip(names, key.split(), strict=True))}
        command = [sys.executable, "-m", "flask", "--app", "receiver", "run", "--port", str(self._port)]
        self.receiver = Process(command, directory / "receiver.log", self.environment, directory)
        self.url = f"http://127.0.0.1:{self._port}/orders"

    def preamble(self) -> str:
        """The block that makes the keys, with this service's address and password."""
        return self.adapted(block("An API key", "bash"))

    def adapted(self, text: str) -> str:
        text = re.sub(r"PASSWORD='.*'", f"PASSWORD={shlex.quote(PASSWORD)}", text)
        return text.replace("http://127.0.0.1:5000", self._service.url).replace("8099", str(self._port))

    def file(self, name: str, content: str) -> Path:
        (self.directory / name).write_text(self.adapted(content))
        return self.directory / name

    def run(self, *command: str, **settings: str) -> str:
        environment = {**self.environment, **settings}
        done = subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False, timeout=280
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def received(self, order: str) -> int:
        """How often the receiver has worked on an order."""
        return self.receiver.output().count(f"order {order}\n")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with whole_service(tmp_path_factory.mktemp("clients")) as service:
        one = Reader(tmp_path_factory.mktemp("reader"), service)
        one.receiver.start()
        one.receiver.wait_ready(lambda: "Running on" in one.receiver.output(), 60)
        yield one
        one.receiver.stop()


def by_curl(reader: Reader) -> None:
    helper = next(line for line in block("An API key", "bash").splitlines() if line.startswith("post()"))
    reader.run("bash", "-ec", f"{helper}\n{reader.adapted(block('curl', 'bash'))}")


def by_python(reader: Reader) -> None:
    reader.run(sys.executable, str(reader.file("client.py", block("Python", "python"))))


def by_node(reader: Reader) -> None:
    reader.run(require("NODE", "node"), str(reader.file("client.mjs", block("Node", "js"))))


def by_go(reader: Reader) -> None:
    program = reader.file("main.go", block("Go", "go"))
    reader.run(require("GO", "go"), "run", str(program), **GO)


@pytest.mark.timeout(300)  # Go compiles its library at the first run on a machine
@pytest.mark.parametrize(
    ("run", "order"), [(by_curl, "curl-1"), (by_python, "python-1"), (by_node, "node-1"), (by_go, "go-1")]
)
def test_every_program_delivers_its_message(reader: Reader, run: Callable[[Reader], None], order: str) -> None:
    run(reader)
    wait_until(lambda: reader.received(order) == 1, 20, "the order")


def test_a_duplicate_is_received_but_not_worked_on_again(reader: Reader) -> None:
    def answers() -> int:
        return reader.receiver.output().count(" 204 -")

    by_python(reader)
    before = wait_until(answers)
    by_python(reader)
    wait_until(lambda: answers() > before, 20, "the duplicate")
    assert reader.received("python-1") == 1


def test_the_receiver_refuses_what_is_not_signed(reader: Reader) -> None:
    assert requests.post(reader.url, json={"id": "forged"}, timeout=10).status_code == 401
    assert reader.received("forged") == 0


def test_the_page_cleans_up(reader: Reader) -> None:
    by_python(reader)
    login = reader.preamble().split("export WORKERRMQ_API_KEY")[0]
    commands = block("Clean up", "bash").replace("kill $!\n", "")
    said = reader.run("bash", "-ec", f"{login}\n{reader.adapted(commands)}")
    assert '"matched":0' in said
    assert said.count("successfully") == 4
