"""What authorizes a request to a target. A scheme is one class here and one line in `_AUTHORIZERS`.

A scheme that must fetch a token first calls `send` when it has it; deliveries and samples wait alike.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Protocol

from domain.consumer import BasicAuth, BearerAuth, ConsumerSpec

Send = Callable[[list[str]], None]
"""Sends the request with these `Name: value` lines."""


class Authorizer(Protocol):
    def authorize(self, lines: list[str], send: Send) -> None:
        """Call `send` once, now or later on the same loop, with `lines` and those that authorize the request."""


class Fixed:
    """The same header with every request, not only after a 401."""

    def __init__(self, credentials: str) -> None:
        self._line = f"Authorization: {credentials}"

    def authorize(self, lines: list[str], send: Send) -> None:
        send([*lines, self._line])


def _basic(auth: BasicAuth) -> Authorizer:
    """RFC 7617 §2, in UTF-8."""
    login = f"{auth.username}:{auth.password.get_secret_value()}"
    return Fixed("Basic " + b64encode(login.encode()).decode())


def _bearer(auth: BearerAuth) -> Authorizer:
    """RFC 6750 §2.1."""
    return Fixed(f"Bearer {auth.token.get_secret_value()}")


_AUTHORIZERS: dict[type, Callable[[Any], Authorizer]] = {BasicAuth: _basic, BearerAuth: _bearer}


def authorizer_of(spec: ConsumerSpec) -> Authorizer | None:
    """The authorizer of a consumer's requests; None if it has no `auth`, or its own `headers` have Authorization."""
    if spec.auth is None or any(name.lower() == "authorization" for name in spec.headers):
        return None
    return _AUTHORIZERS[type(spec.auth)](spec.auth)
