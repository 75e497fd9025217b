"""Authorizers add credentials to a request to a target. To add a scheme, add a class and a line in `_AUTHORIZERS`.

A scheme that fetches a token calls `send` when it has the token. Deliveries and samples both wait for it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Protocol

from domain.consumer import BasicAuth, BearerAuth, ConsumerSpec

Send = Callable[[list[str]], None]
"""Sends the request with these `Name: value` header lines."""


class Authorizer(Protocol):
    def authorize(self, lines: list[str], send: Send) -> None:
        """Call `send` once, now or later on the same loop, with `lines` and the lines that authorize the request."""


class Fixed:
    """Adds the same header to every request, without waiting for a 401."""

    def __init__(self, credentials: str) -> None:
        self._line = f"Authorization: {credentials}"

    def authorize(self, lines: list[str], send: Send) -> None:
        send([*lines, self._line])


def _basic(auth: BasicAuth) -> Authorizer:
    """Return the authorizer for basic credentials, in UTF-8 (RFC 7617 §2)."""
    login = f"{auth.username}:{auth.password.get_secret_value()}"
    return Fixed("Basic " + b64encode(login.encode()).decode())


def _bearer(auth: BearerAuth) -> Authorizer:
    """Return the authorizer for a bearer token (RFC 6750 §2.1)."""
    return Fixed(f"Bearer {auth.token.get_secret_value()}")


_AUTHORIZERS: dict[type, Callable[[Any], Authorizer]] = {BasicAuth: _basic, BearerAuth: _bearer}


def authorizer_of(spec: ConsumerSpec) -> Authorizer | None:
    """Return the authorizer for a consumer; None if it has no `auth`, or if its `headers` have Authorization."""
    if spec.auth is None or any(name.lower() == "authorization" for name in spec.headers):
        return None
    return _AUTHORIZERS[type(spec.auth)](spec.auth)
