"""The rivals of WorkerRMQ.py, which forward a queue to an HTTP target: a consumer by hand in Node, Go and Rust, and the
stream processor Bento."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).parent
IN_FLIGHT = 64
"""Maximum number of unsettled messages of a process; the rivals have the same number in their sources."""


class Rival(NamedTuple):
    """A program with its row in the table. `build` downloads the pinned dependencies and compiles in a directory, and
    returns the command. Rivals with one `key` share that directory."""

    row: str
    key: str
    toolchain: str
    build: Callable[[Path], list[str]]
    by_default: bool = True


def _node(place: Path) -> list[str]:
    shutil.copytree(SOURCES / "node", place, dirs_exist_ok=True)
    _run(place, "npm", "ci", "--no-audit", "--no-fund")
    return ["node", str(place / "consumer.js")]


def _go(place: Path) -> list[str]:
    _run(SOURCES / "go", "go", "build", "-o", str(place / "consumer"), ".")
    return [str(place / "consumer")]


def _rust(place: Path) -> list[str]:
    _run(SOURCES / "rust", "cargo", "build", "--release", "--locked", "--target-dir", str(place))
    return [str(place / "release" / "rival")]


def _bento(place: Path, connections_kept: bool = False) -> list[str]:
    program = place / ("kept" if connections_kept else "shipped")
    shutil.copytree(SOURCES / "bento", place, dirs_exist_ok=True)
    _run(place, "go", "mod", "vendor")
    if connections_kept:
        _keep_connections(place / "vendor/github.com/warpstreamlabs/bento/public/service/config_http_transport.go")
    _run(place, "nice", "-n", "19", "go", "build", "-p", "2", "-o", str(program), ".")
    return [str(program), "-c", str(place / "pipeline.yaml")]


def _keep_connections(transport: Path) -> None:
    """Let Bento keep an idle connection for each request in flight, instead of two, which is Go's default.

    This takes a patch: Bento's `transport` has no field for it, and its client does not use http.DefaultTransport.
    """
    field = "MaxIdleConns:          maxIdleConns,"
    source = transport.read_text()
    assert source.count(field) == 1, f"{transport} has changed"
    transport.write_text(source.replace(field, f"{field} MaxIdleConnsPerHost: {IN_FLIGHT},"))


def _run(directory: Path, *command: str) -> None:
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)


RIVALS = (
    Rival("Node: amqplib, undici", "node", "node", _node),
    Rival("Go: amqp091-go, net/http", "go", "go", _go),
    Rival("Rust: lapin, reqwest", "rust", "cargo", _rust),
    Rival("Bento as shipped", "bento", "go", _bento, by_default=False),
    Rival("Bento, connections kept", "bento", "go", partial(_bento, connections_kept=True), by_default=False),
)
KEYS = tuple(dict.fromkeys(rival.key for rival in RIVALS))
DEFAULT_KEYS = tuple(dict.fromkeys(rival.key for rival in RIVALS if rival.by_default))


def built(place: Path, keys: Sequence[str]) -> dict[str, list[str]]:
    """Build the rivals whose key is given and whose toolchain is installed. Return their commands by row."""
    chosen = [rival for rival in RIVALS if rival.key in keys and shutil.which(rival.toolchain)]
    return {rival.row: rival.build(place / rival.key) for rival in chosen}
