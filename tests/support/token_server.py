"""A real OAuth 2 token endpoint (client credentials, RFC 6749 §4.4): checks its clients, and misbehaves on request."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import jwt

from tests.support.serving import Serving

Raw = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class TokenRequest:
    """A received request: the form's fields and the headers by lower-case name."""

    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class TokenServer(Serving):
    """Runs in threads. Any thread may set the fields, which say how it behaves, and read `requests`.

    It knows `client` by `secret`, or by `public_key` (PEM). `answer` replaces its answers: a status and a body, or a
    function that writes to the connection itself. Tokens are valid for `life` seconds.
    """

    client: str = "client"
    secret: str = "canary-client-secret"
    public_key: str = ""
    life: float | None = 3600
    delay: float = 0
    answer: tuple[int, Any] | Raw | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    requests: list[TokenRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._valid: dict[str, float] = {}  # until when, monotonic
        self.issued: list[str] = []
        owner = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                owner._serve(self)

            def log_message(self, *_: object) -> None:
                """Write nothing."""

        self.port = self._serve_by(ThreadingHTTPServer(("127.0.0.1", 0), Requests))
        self.url = f"http://127.0.0.1:{self.port}/token"

    @property
    def auth(self) -> dict[str, Any]:
        """The `auth` of a consumer that it knows by its secret."""
        return {"type": "oauth2", "tokenUrl": self.url, "clientId": self.client, "clientSecret": self.secret}

    def accepts(self, authorization: str) -> bool:
        """Whether an Authorization header has a token that is valid now."""
        return self._valid.get(authorization.removeprefix("Bearer "), 0) > time.monotonic()

    def revoke(self) -> None:
        """Make all tokens invalid."""
        self._valid.clear()

    def _serve(self, http: BaseHTTPRequestHandler) -> None:
        body = http.rfile.read(int(http.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
        request = TokenRequest(form, {name.lower(): value for name, value in http.headers.items()})
        with self._lock:
            self.requests.append(request)
        answer = self.answer
        time.sleep(self.delay)
        if callable(answer):
            answer(http)
        elif answer is not None:
            reply(http, *answer)
        elif form.get("grant_type") != "client_credentials":
            reply(http, 400, {"error": "unsupported_grant_type"})
        elif not self._knows(request):
            reply(http, 401, {"error": "invalid_client", "error_description": f"wrong: {body} {request.headers}"})
        else:
            reply(http, 200, self.token())

    def _knows(self, request: TokenRequest) -> bool:
        form = request.form
        if self.public_key:
            try:
                options: Any = {"require": ["iss", "sub", "aud", "jti", "iat", "exp"]}
                algorithms = ["RS256", "ES256", "ES384", "ES512", "EdDSA"]
                claims = jwt.decode(form["client_assertion"], self.public_key, algorithms, options, audience=self.url)
            except (jwt.PyJWTError, KeyError):
                return False
            return bool(claims["iss"] == claims["sub"] == self.client)
        given = form.get("client_id"), form.get("client_secret")
        scheme, _, login = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            user, _, password = base64.b64decode(login).decode().partition(":")
            given = unquote_plus(user), unquote_plus(password)
        return given == (self.client, self.secret)

    def token(self) -> dict[str, Any]:
        """Issue a token, and return the answer that contains it."""
        with self._lock:
            token = f"canary-token-{len(self.issued) + 1:04}"
            self.issued.append(token)
            self._valid[token] = time.monotonic() + (3600 if self.life is None else self.life)
        life = {} if self.life is None else {"expires_in": self.life}
        return {"access_token": token, "token_type": "Bearer", **life, **self.extra}


def reply(http: BaseHTTPRequestHandler, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
    """Answer with JSON, or with bytes as they are."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    http.send_response(status)
    http.send_header("Content-Type", "application/json")
    http.send_header("Content-Length", str(len(body)))
    for name, value in (headers or {}).items():
        http.send_header(name, value)
    http.end_headers()
    http.wfile.write(body)
