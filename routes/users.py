"""Login, logout and users."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from flask import request
from pydantic import SecretStr

from domain.errors import Invalid, Unauthenticated
from domain.model import Model
from domain.user import ChangePassword, CreateUser, Credentials, Role, UpdateUser, UserNamed
from middlewares.auth import bearer_token, caller, services
from routes.answers import Done
from routes.api import Api, Reply, done
from routes.paging import NamedQuery, paged

api = Api("users")


class UsersQuery(NamedQuery):
    """Parameters of the list of users."""

    sort: Literal["username", "role", "createdAt", "updatedAt"] = "username"


class UserDetails(Model):
    """A user, without the password and its hash."""

    username: str
    role: Role
    disabled: bool
    created_at: datetime
    updated_at: datetime


class UserDone(Done):
    """A user after a change."""

    user: UserDetails


class LoggedIn(Done):
    """A new token. Send it as `Authorization: Bearer …`; it is never shown again."""

    token: str
    expires_at: datetime
    role: Role


@api.post("/login", public=True, refuses=("401 wrong_credentials", "429 throttled", "503 store_unavailable"))
def login(body: Credentials) -> Reply[LoggedIn]:
    """Exchange a user name and password for a bearer token.

    The answer is 429 for 15 minutes after ten wrong passwords for one account from one network (an IPv4 address, or an
    IPv6 /64), after a hundred for one account, and after a hundred from one network. It is also 429 while too many
    logins wait."""
    return _logged_in("Logged in.", body.username, body.password)


def _logged_in(message: str, username: str, password: SecretStr) -> Reply[LoggedIn]:
    token, grant, user = services.login.login(username, password.get_secret_value(), request.remote_addr or "")
    return Reply(LoggedIn(message=message, token=token, expires_at=grant.expires_at, role=user.role))


@api.post("/changePassword", role="viewer", refuses=("400 wrong_password", "429 throttled"))
def change_password(body: ChangePassword) -> Reply[LoggedIn]:
    """Change the password of the user who sends the request. The answer has a new token: all others of the user are
    revoked. Wrong current passwords count as those of `POST /login`."""
    username = caller().username
    try:
        _logged_in("", username, body.current_password)
    except Unauthenticated:
        wrong = [("currentPassword", "is wrong")]
        raise Invalid("The current password is wrong.", code="wrong_password", fields=wrong) from None
    services.users.update(username, body.new_password.get_secret_value())
    return _logged_in("Password has been changed successfully.", username, body.new_password)


@api.post("/logout", role="viewer", refuses=("400 invalid_request",))
def logout() -> Reply[Done]:
    """Revoke the token of this request."""
    services.login.logout(bearer_token())
    return done("Logged out.")


@api.post("/createUser", role="admin", idempotent=True, statuses=(201,), refuses=("409 conflict",))
def create_user(body: CreateUser) -> Reply[UserDone]:
    """Create a user. If the name exists, the answer is 409, even with the same password and role."""
    user = services.users.create(body.username, body.password.get_secret_value(), body.role)
    return done("User has been created successfully.", status=201, user=UserDetails.showing(user))


@api.get("/getUsers", role="admin")
def get_users(query: UsersQuery) -> Reply[list[UserDetails]]:
    """List the users."""
    return paged(services.users.page(query.selection()), query, UserDetails.showing)


@api.patch("/updateUser", role="admin", refuses=("404 not_found", "409 last_admin"))
def update_user(body: UpdateUser) -> Reply[UserDone]:
    """Change the role or the password of a user, or disable or enable the user.

    A new role applies at once. A new password, or disabling the user, revokes all tokens of the user."""
    if body.role is None and body.password is None and body.disabled is None:
        raise Invalid("There is nothing to change. Send role, password or disabled.")
    password = body.password.get_secret_value() if body.password else None
    user = services.users.update(body.username, password, body.role, body.disabled)
    return done("User has been updated successfully.", user=UserDetails.showing(user))


@api.delete("/deleteUser", role="admin", refuses=("404 not_found", "409 last_admin"))
def delete_user(body: UserNamed) -> Reply[Done]:
    """Delete a user and revoke all tokens of the user at once. The last admin cannot be deleted."""
    services.users.delete(body.username)
    return done("User has been deleted successfully.")
