"""A target for batches: takes JSON arrays and lines of JSON, and records which ids were delivered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.processes import wait_until
from tests.support.serving import Serving


@dataclass(frozen=True)
class Received:
    """One request: its headers by lower-case name, its body, and its elements as JSON."""

    headers: dict[str, str]
    body: bytes
    elements: list[Any]

    @property
    def ids(self) -> list[str]:
        """The ids of the messages, which their elements have as `messageId` or `id`."""
        return [str(one.get("messageId", one.get("id"))) for one in self.elements]


Answer = Callable[[Received], tuple[int, Any]]


@dataclass
class BatchTarget(Serving):
    """Runs in threads. Any thread may set `answer`, a function from the request to a status and a JSON body."""

    answer: Answer = lambda _: (200, {})
    requests: list[Received] = field(default_factory=list)
    delivered: Counter[str] = field(default_factory=Counter)
    """number of 2xx answers by id, without those that `batchItemFailures` names"""

    def __post_init__(self) -> None:
        owner = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                owner._serve(self)

            def log_message(self, *_: object) -> None:
                """Write nothing."""

        self.url = f"http://127.0.0.1:{self._serve_by(ThreadingHTTPServer(('127.0.0.1', 0), Requests))}/"

    def sizes(self) -> list[int]:
        return [len(one.elements) for one in self.requests]

    def wait_delivered(self, ids: set[str], timeout: float = 20) -> None:
        wait_until(lambda: ids <= set(self.delivered), timeout, f"{len(ids)} messages being delivered in batches")

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        lines = body.splitlines() if "ndjson" in handler.headers["Content-Type"] else []
        elements = [json.loads(line) for line in lines] if lines else json.loads(body)
        request = Received({name.lower(): value for name, value in handler.headers.items()}, body, elements)
        status, answer = self.answer(request)
        self.requests.append(request)
        if 200 <= status < 300:
            items = answer.get("batchItemFailures", []) if isinstance(answer, dict) else []
            failed = {one["itemIdentifier"] for one in items if isinstance(one, dict)}
            self.delivered.update(one for one in request.ids if one not in failed)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
