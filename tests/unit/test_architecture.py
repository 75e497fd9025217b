"""Imports run one way: routes, middlewares → services → gateway → delivery → domain. runtime stands alone;
amqp_wire is below gateway and broker, and broker imports nothing else of ours."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAY_IMPORT = {
    "domain": set(),
    "runtime": set(),
    "amqp_wire": set(),
    "delivery": {"domain"},
    "gateway": {"runtime", "delivery", "domain", "amqp_wire"},
    "services": {"runtime", "gateway", "delivery", "domain"},
    "middlewares": {"runtime", "services", "domain"},
    "routes": {"runtime", "middlewares", "services", "domain"},
    "commands": {"runtime", "services", "gateway", "domain", "cli"},
    "launcher": {"config", "runtime", "services", "gateway", "domain", "cli"},
    "broker": {"amqp_wire"},
    "emulators": {"broker"},
    "cli": set(),
    "lib": set(),
}
"""For each of our packages the others that it may import."""

DRIVERS = {
    "flask": {"routes", "middlewares", "commands"},
    "werkzeug": {"routes", "middlewares"},
    "gevent": {"runtime", "middlewares"},
    "gunicorn": {"middlewares"},
    "pika": {"gateway"},
    "pycurl": {"gateway"},
    "requests": {"gateway", "cli"},
    "pymongo": {"gateway"},
    "bson": {"gateway"},
    "flask_pymongo": set(),
    "pamqp": {"broker"},
    "kombu": {"lib"},
    "prometheus_client": {"gateway"},
    "opentelemetry": {"gateway"},
}
"""For each driver the packages that may know it."""

OURS = {path.stem for path in ROOT.glob("*.py")} | set(MAY_IMPORT)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@cache
def imported(path: Path) -> frozenset[str]:
    """The top names of all that a file imports, wherever in it; what is only imported for types too."""
    return frozenset(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = [f"{path.relative_to(ROOT)} imports {name}" for path in modules(package) for name in imported(path)
             if name in OURS and name not in allowed]  # fmt: skip
    assert not wrong


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_is_known_only_where_it_is_wrapped(driver: str) -> None:
    wrong = [str(path.relative_to(ROOT)) for package in MAY_IMPORT for path in modules(package)
             if driver in imported(path) and package not in DRIVERS[driver]]  # fmt: skip
    assert not wrong


def test_every_package_of_the_table_has_modules() -> None:
    assert all(modules(package) for package in MAY_IMPORT)


def test_at_the_root_is_only_what_composes_the_parts() -> None:
    allowed = {"app", "wsgi", "wiring", "config", "gunicorn.conf", "WorkerRMQ"}
    assert {path.stem for path in ROOT.glob("*.py")} == allowed
