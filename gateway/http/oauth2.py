"""OAuth 2 client credentials (RFC 6749 §4.4): one token for all requests of a consumer's revision on a worker.

Owned by the loop's thread. Tokens stay in memory; no log and no answer contains one.
"""

from __future__ import annotations

import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote_plus, urlencode

import jwt
import structlog

from delivery.request import Request
from delivery.tokens import Token, TokenPeriods, refreshed_later, token_of
from delivery.unsendable import Failed
from domain.auth import OAuth2Auth, SigningKey, signing_key
from domain.consumer import ConsumerSpec
from domain.credentials import without
from domain.outcome import Answer
from gateway.http.endpoint import READ_LIMIT, Done, Endpoint
from gateway.loop import contained

log = structlog.get_logger("workerrmq.delivery")

Send = Callable[[Request, Done], None]
"""Sends a request, and calls `Done` with its answer."""
Ask = Callable[[Endpoint], Send]
"""Returns the function that sends requests to an endpoint without an authorizer."""

_UNAUTHORIZED = 401
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Authorizer(Protocol):
    """Adds a consumer's credentials to its requests."""

    def authorize(self, request: Request, send: Send, done: Done) -> None:
        """Call `send` with the request and its credentials, now or later on the same loop. If the request must not be
        sent, call `done` with the reason. `done` is called once in either case."""


class TokenRequest:
    """Builds the requests to a token endpoint."""

    def __init__(self, auth: OAuth2Auth) -> None:
        fields = {"grant_type": "client_credentials", "scope": auth.scope, "audience": auth.audience}
        self._fields = {name: value for name, value in fields.items() if value}
        self._fields |= {name: value.get_secret_value() for name, value in auth.params.items()}
        self._lines = ["User-Agent: WorkerRMQ", "Accept: application/json",
                       "Content-Type: application/x-www-form-urlencoded"]  # fmt: skip
        self._auth = auth
        self.secrets = list(auth.secrets())
        """values to mask in answers"""
        self._key: SigningKey | None = None
        if auth.private_key is not None:
            self._key, self._algorithm = signing_key(auth.private_key.get_secret_value())
            self._fields["client_id"] = auth.client_id
        elif auth.client_secret is not None:
            secret = auth.client_secret.get_secret_value()
            if auth.client_secret_in == "header":
                login = f"{quote_plus(auth.client_id)}:{quote_plus(secret)}"  # RFC 6749 §2.3.1
                self.secrets.append(b64encode(login.encode()).decode())
                self._lines.append(f"Authorization: Basic {self.secrets[-1]}")
            else:
                self._fields |= {"client_id": auth.client_id, "client_secret": secret}

    def build(self, now: float, life: float) -> Request:
        """Return a token request. `now` is in Unix seconds. If a JWT authenticates the client, it is valid for `life`
        seconds (RFC 7523 §3)."""
        fields = self._fields
        if self._key is not None:
            client, moment = self._auth.client_id, int(now)
            claims: dict[str, Any] = {"iss": client, "sub": client, "aud": str(self._auth.token_url)}
            claims |= {"jti": str(uuid.uuid4()), "iat": moment, "exp": moment + round(life)}
            headers = {"kid": self._auth.key_id} if self._auth.key_id else None
            assertion = jwt.encode(claims, self._key, self._algorithm, headers)
            fields = fields | {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
        return Request(self._lines, urlencode(fields).encode())


class OAuth2:
    """Fetches a token on first use, once for all requests that wait for it. Fetches the next token before the current
    one expires; requests use the current one meanwhile. When the target refuses a token, it fetches a new one and sends
    the request once more."""

    def __init__(self, auth: OAuth2Auth, spec: ConsumerSpec, ask: Ask, periods: TokenPeriods) -> None:
        endpoint = Endpoint(auth.token_url, "POST", spec.timeout, spec.connect_timeout, READ_LIMIT)
        self._ask, self._requests = ask(endpoint), TokenRequest(auth)
        self._place = str(auth.token_url)
        self._periods = periods
        self._consumer, self._queue = spec.effective_name, spec.queue_name
        self._token: Token | None = None
        self._accepted = True  # false after the target refused a new token, until it accepts one
        self._fetching = False
        self._waiting: list[tuple[Callable[[Token], None], Done]] = []

    def authorize(self, request: Request, send: Send, done: Done) -> None:
        def first(token: Token) -> None:
            send(_with(request, token), partial(answered, token))

        def answered(token: Token, answer: Answer) -> None:
            if answer.status != _UNAUTHORIZED:
                self._accepted = True
            elif self._refused(token):
                self._with_token(again, done)
                return
            done(_masked(answer, token))

        def again(token: Token) -> None:
            send(_with(request, token), lambda answer: second(token, answer))

        def second(token: Token, answer: Answer) -> None:
            if token is self._token:
                self._accepted = answer.status != _UNAUTHORIZED
            done(_masked(answer, token))

        self._with_token(first, done)

    def _with_token(self, use: Callable[[Token], None], done: Done) -> None:
        now, token = time.monotonic(), self._token
        if token is not None and now < token.expires_at:
            if now >= token.refresh_at:
                self._fetch()
            _use(token, use, done)
        else:
            self._waiting.append((use, done))
            self._fetch()

    def _refused(self, token: Token) -> bool:
        """Drop a token that the target refused; return whether to try another. If the target refused a new token too,
        the token is not the cause: try no other until the target accepts one."""
        if token is not self._token:
            return True
        if not self._accepted:
            return False
        self._token = None
        return True

    def _fetch(self) -> None:
        if self._fetching:
            return
        self._fetching = True
        try:
            self._ask(self._requests.build(time.time(), self._periods.assertion), self._fetched)
        except Exception as exc:
            log.exception("authorization_crashed")
            self._fetched(Failed.by(exc).answer)

    def _fetched(self, answer: Answer) -> None:
        self._fetching, now = False, time.monotonic()
        found = token_of(answer, self._place, self._requests.secrets, now, self._periods.life)
        if isinstance(found, Token):
            self._token = found
        else:
            log.warning("token_unavailable", consumer=self._consumer, queue=self._queue, reason=found.detail)
            if self._token is not None:
                self._token = refreshed_later(self._token, now, self._periods.again)
        waiting, self._waiting = self._waiting, []
        for use, done in waiting:
            if isinstance(found, Token):
                _use(found, use, done)
            else:
                contained(done, found)


def _use(token: Token, use: Callable[[Token], None], done: Done) -> None:
    """Call `use`. If it raises, call `done` instead, so that the other requests that wait for the token are sent."""
    try:
        use(token)
    except Exception as exc:
        log.exception("authorization_crashed")
        contained(done, Failed.by(exc).answer)


def _with(request: Request, token: Token) -> Request:
    return request._replace(headers=[*request.headers, f"Authorization: Bearer {token.value}"])


def _masked(answer: Answer, token: Token) -> Answer:
    """Return the answer with the token masked, because the target may repeat it in the body."""
    if not answer.body:
        return answer
    body = without(answer.body.decode("latin-1"), [token.value])
    return answer._replace(body=body.encode("latin-1"))
