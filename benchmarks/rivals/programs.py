"""The programs that forward a queue to an HTTP target: WorkerRMQ.py, and a consumer by hand in Node, Go and Rust."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).parent
IN_FLIGHT = 64
"""Maximum number of unsettled messages of a process; the three programs have the same number in their source."""


class Rival(NamedTuple):
    """A program by hand. `build` downloads the pinned dependencies and compiles in a directory, and returns the
    command."""

    name: str
    toolchain: str
    build: Callable[[Path], list[str]]


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


def _run(directory: Path, *command: str) -> None:
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)


RIVALS = (
    Rival("Node: amqplib, undici", "node", _node),
    Rival("Go: amqp091-go, net/http", "go", _go),
    Rival("Rust: lapin, reqwest", "cargo", _rust),
)


def built(place: Path, toolchains: Sequence[str]) -> dict[str, list[str]]:
    """Build the rivals whose toolchain is given and installed. Return their commands by name."""
    chosen = [rival for rival in RIVALS if rival.toolchain in toolchains and shutil.which(rival.toolchain)]
    return {rival.name: rival.build(place / rival.toolchain) for rival in chosen}
