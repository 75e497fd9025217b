"""The launcher's HTTP client for the service that it starts."""

from __future__ import annotations

import http.client
import json
from collections.abc import Collection
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

_SETTINGS = {
    "store": "MongoDB (MONGO_URI)",
    "broker": "RabbitMQ (RABBITMQ_URL)",
    "management": "RabbitMQ's management API (RABBITMQ_MANAGEMENT_URL)",
}
_PROGRAMS = {"store": "store", "broker": "broker", "management": "broker"}
"""The program of the launcher that serves a dependency, unless the operator configured another server."""


class Api:
    """The web process's API. `last` is its last answer. `programs` are the names of those that the launcher starts."""

    def __init__(self, url: str, programs: Collection[str]) -> None:
        self._address, self._programs = urlsplit(url).netloc, programs
        self.last = "it is not listening yet"

    def ready(self) -> bool:
        """Return whether broker and store answer the web process."""
        return self._ask("GET", "/health/ready") == HTTPStatus.OK

    def down(self) -> str:
        """Return which dependencies are down or starting, and why, by the last answer; empty if it names none."""
        try:
            dependencies: dict[str, dict[str, Any]] = json.loads(self.last)["dependencies"]
        except (ValueError, LookupError, TypeError):
            return ""
        down = {name: str(one["detail"]).rstrip(".") for name, one in dependencies.items() if not one["up"]}
        return "; ".join(dict.fromkeys(self._sentence(name, detail) for name, detail in down.items()))

    def _sentence(self, name: str, detail: str) -> str:
        program = _PROGRAMS.get(name)
        if program in self._programs:
            return f"the embedded {program} is starting"
        return f"{_SETTINGS.get(name, name)} is down: {detail}"

    def accepts(self, username: str, password: str) -> bool:
        """Return whether this login is valid."""
        return self._ask("POST", "/login", {"username": username, "password": password}) == HTTPStatus.OK

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> int:
        connection = http.client.HTTPConnection(self._address, timeout=5)
        try:
            sent = json.dumps(body) if body else None
            connection.request(method, path, sent, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            self.last = answer.read().decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as exc:
            self.last = f"{type(exc).__name__}: {exc}"
            return 0
        finally:
            connection.close()
        return answer.status
