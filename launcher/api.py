"""The little that the launcher asks of the running service, over HTTP as anybody would."""

from __future__ import annotations

import http.client
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit


class Api:
    """Asks the web process; remembers in `last` what it said to the last question."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self.last = "it does not listen yet"

    def ready(self) -> bool:
        """Whether broker and store answer the web process, and a worker has reported."""
        status, body = self._ask("GET", "/health/ready")
        return status == HTTPStatus.OK and body.get("workers", 1) > 0

    def accepts(self, username: str, password: str) -> bool:
        """Whether this login is in force."""
        status, _ = self._ask("POST", "/login", {"username": username, "password": password})
        return status == HTTPStatus.OK

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(self._address, timeout=5)
        try:
            sent = json.dumps(body) if body else None
            connection.request(method, path, sent, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            received = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as exc:
            self.last = f"{type(exc).__name__}: {exc}"
            return 0, {}
        finally:
            connection.close()
        self.last = json.dumps(received)
        return answer.status, received if isinstance(received, dict) else {}
