"""Authentication by the bearer token of the Authorization header (RFC 6750), and the check of the role.

routes/api.py calls `authorize` before it reads anything else of a request; every route is made with it.
"""

from __future__ import annotations

from typing import cast

from flask import current_app, g, request
from werkzeug.local import LocalProxy

from domain.errors import Forbidden, Unauthenticated
from domain.user import Principal, Role
from middlewares.request_log import note
from services.bundle import Services

services = cast(Services, LocalProxy(lambda: current_app.extensions["services"]))
"""The services of the app that handles the request."""


def bearer_token() -> str:
    """Return the token of the current request. Raises Unauthenticated without one."""
    given: str = request.environ.get("HTTP_AUTHORIZATION", "")
    scheme, _, token = given.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send the header Authorization: Bearer <token>. POST /login gives a token.")
    return token


def authorize(role: Role) -> Principal:
    """Return the user or API key of the current request. Raises Unauthenticated, and Forbidden below `role`."""
    g.caller = principal = services.login.principal(bearer_token())
    note(user=principal.username)
    if not principal.may(role):
        raise Forbidden(f"This requires the role {role!r}; {principal.username!r} has the role {principal.role!r}.")
    return principal


def caller() -> Principal:
    """Return the user or API key of the current request, after `authorize`."""
    principal: Principal = g.caller
    return principal
