"""Authorizers add credentials to a request to a target. To add a scheme, add a class and a line in `_AUTHORIZERS`.

A scheme that fetches a token calls `send` when it has the token. Deliveries and samples both wait for it. Schemes that
libcurl knows are in endpoint.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from delivery.request import Request
from delivery.signing import github_signature, stripe_signature
from delivery.tokens import TokenPeriods
from domain.auth import ApiKeyAuth, BasicAuth, BearerAuth, HmacAuth, OAuth2Auth
from domain.consumer import ConsumerSpec
from domain.outcome import Answer, ErrorClass
from domain.tls import TargetTls, written
from gateway.http.endpoint import Done
from gateway.http.oauth2 import Ask, Authorizer, OAuth2, Send


class Fixed:
    """Adds the same header to every request, without waiting for a 401."""

    def __init__(self, line: str) -> None:
        self._line = line

    def authorize(self, request: Request, send: Send, done: Done) -> None:
        send(request._replace(headers=[*request.headers, self._line]), done)


class InQuery:
    """Adds the same parameter to the query of every request."""

    def __init__(self, url: str, name: str, value: str) -> None:
        self._url, self._name, self._value = url, name, quote(value, safe="")

    def authorize(self, request: Request, send: Send, done: Done) -> None:
        send(request._replace(url=with_parameter(request.url or self._url, self._name, self._value)), done)


def with_parameter(url: str, name: str, value: str) -> str:
    """Return a URL with another parameter in its query. `value` is percent-encoded already."""
    return f"{url}{'&' if '?' in url else '?'}{quote(name, safe='')}={value}"


class Hmac:
    """Adds a signature of the body, or of the time and the body."""

    def __init__(self, auth: HmacAuth) -> None:
        self._key, self._header = auth.secret.get_secret_value().encode(), auth.sets_header
        self._timed = auth.format == "stripe"

    def authorize(self, request: Request, send: Send, done: Done) -> None:
        if self._timed:
            signature = stripe_signature(self._key, int(time.time()), request.body)
        else:
            signature = github_signature(self._key, request.body)
        send(request._replace(headers=[*request.headers, f"{self._header}: {signature}"]), done)


class Unexpired:
    """Sends no request after a certificate of the consumer has expired. A target may answer such requests with a status
    that dead-letters messages; nginx answers 400."""

    def __init__(self, tls: TargetTls, then: Authorizer | None) -> None:
        self._end, self._then = tls.expires_at.timestamp(), then
        self._reason = f"A certificate of `tls` expired on {written(tls.expires_at)}. Give the consumer a new one."

    def authorize(self, request: Request, send: Send, done: Done) -> None:
        if time.time() >= self._end:
            done(Answer(None, ErrorClass.CERTIFICATE, self._reason, 0.0))
        elif self._then is None:
            send(request, done)
        else:
            self._then.authorize(request, send, done)


def _bearer(auth: BearerAuth, *_: Any) -> Authorizer:
    """Return the authorizer for a bearer token (RFC 6750 §2.1)."""
    return Fixed(f"Authorization: Bearer {auth.token.get_secret_value()}")


def _api_key(auth: ApiKeyAuth, spec: ConsumerSpec, *_: Any) -> Authorizer:
    value = auth.value.get_secret_value()
    return InQuery(spec.url, auth.name, value) if auth.in_ == "query" else Fixed(f"{auth.name}: {value}")


_AUTHORIZERS: dict[type, Callable[[Any, ConsumerSpec, Ask, TokenPeriods], Authorizer]] = {
    BasicAuth: lambda auth, *_: Fixed(f"Authorization: {auth.header}"),
    BearerAuth: _bearer,
    ApiKeyAuth: _api_key,
    OAuth2Auth: OAuth2,
    HmacAuth: lambda auth, *_: Hmac(auth),
}


def authorizer_of(spec: ConsumerSpec, ask: Ask, tokens: TokenPeriods) -> Authorizer | None:
    """Return the authorizer of a consumer's requests; None if it needs none. `ask` sends a request to an endpoint that
    is not the target."""
    make = _AUTHORIZERS.get(type(spec.auth))
    authorizer = make(spec.auth, spec, ask, tokens) if make else None
    return Unexpired(spec.tls, authorizer) if spec.tls else authorizer
