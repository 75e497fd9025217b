"""Logging in and out, and the users."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from flask import request

from domain.errors import Invalid
from domain.model import Model
from domain.user import CreateUser, Credentials, Role, UpdateUser, User, UserNamed
from middlewares.auth import bearer_token
from routes.answers import Done
from routes.api import Api, Reply, done, services
from routes.paging import NamedQuery, paged
from routes.scope import NO_QUEUE

api = Api("users")


class UsersQuery(NamedQuery):
    """Which users."""

    sort: Literal["username", "role", "createdAt", "updatedAt"] = "username"


class UserDetails(Model):
    """A user as shown: never with anything of the password."""

    username: str
    role: Role
    disabled: bool
    created_at: datetime
    updated_at: datetime


class UserDone(Done):
    """What became of which user."""

    user: UserDetails


class LoggedIn(Done):
    """A token for `Authorization: Bearer …`, shown only here."""

    token: str
    expires_at: datetime
    role: Role


@api.post("/login", public=True, body=Credentials, answer=LoggedIn, refuses=(401, 429, 503))
def login(body: Credentials) -> Reply:
    """Exchange a user name and password for a bearer token.

    Ten wrong passwords for one account from one network (an IPv4 address, or an IPv6 /64) end in 429 until 15 minutes
    have passed; so do a hundred for one account, or from one network. A burst of logins is answered 429 as well.
    """
    password = body.password.get_secret_value()
    token, grant, user = services.login.login(body.username, password, request.remote_addr or "")
    return Reply(LoggedIn(message="Logged in.", token=token, expires_at=grant.expires_at, role=user.role))


@api.post("/logout", role="viewer", touches=NO_QUEUE, answer=Done)
def logout() -> Reply:
    """End the token that this request is made with."""
    services.login.logout(bearer_token())
    return done("Logged out.")


@api.post(
    "/createUser",
    role="admin",
    idempotent=True,
    touches=NO_QUEUE,
    body=CreateUser,
    answer=UserDone,
    status=201,
    refuses=(409,),
)
def create_user(body: CreateUser) -> Reply:
    """Create a user. The name must be new: 409 otherwise, even with the same password and role."""
    user = services.users.create(body.username, body.password.get_secret_value(), body.role)
    return done("User has been created successfully.", status=201, user=_details(user))


@api.get("/getUsers", role="admin", touches=NO_QUEUE, query=UsersQuery, answer=list[UserDetails])
def get_users(query: UsersQuery) -> Reply:
    """List the users by name."""
    return paged(services.users.page(query.selection()), query, _details)


@api.patch("/updateUser", role="admin", touches=NO_QUEUE, body=UpdateUser, answer=UserDone, refuses=(404, 409))
def update_user(body: UpdateUser) -> Reply:
    """Give a user another role, which holds at once, or another password, which ends all their tokens; disable a user,
    which does so too, or enable one again."""
    if body.role is None and body.password is None and body.disabled is None:
        raise Invalid("Say what to change: role, password or disabled.")
    password = body.password.get_secret_value() if body.password else None
    user = services.users.update(body.username, password, body.role, body.disabled)
    return done("User has been updated successfully.", user=_details(user))


@api.delete("/deleteUser", role="admin", touches=NO_QUEUE, body=UserNamed, answer=Done, refuses=(404, 409))
def delete_user(body: UserNamed) -> Reply:
    """Delete a user and end all their tokens at once. The last admin stays."""
    services.users.delete(body.username)
    return done("User has been deleted successfully.")


def _details(user: User) -> UserDetails:
    return UserDetails(
        username=user.username,
        role=user.role,
        disabled=user.disabled_at is not None,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )
