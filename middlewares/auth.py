"""Who makes the request: the bearer token of the Authorization header (RFC 6750), and what its owner may do.

routes/api.py calls `authorize` before anything else of a request is read; a route cannot be made without it.
"""

from __future__ import annotations

from flask import current_app, g, request

from domain.errors import Forbidden, Unauthenticated
from domain.user import Principal, Role
from middlewares.request_log import note
from services.bundle import Services


def bearer_token() -> str:
    """The token of the current request. Raises Unauthenticated when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send the header Authorization: Bearer <token>. POST /login gives a token.")
    return token


def authorize(role: Role) -> Principal:
    """Who makes the current request. Raises Unauthenticated, and Forbidden when they do not reach as far as `role`."""
    services: Services = current_app.extensions["services"]
    g.caller = principal = services.login.principal(bearer_token())
    note(user=principal.username)
    if not principal.may(role):
        raise Forbidden(f"This takes the role {role!r}, and {principal.username!r} is {principal.role!r}.")
    return principal


def caller() -> Principal:
    """Who makes the current request, once `authorize` has found out."""
    principal: Principal = g.caller
    return principal
