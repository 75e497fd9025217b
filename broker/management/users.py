"""/api/users, /api/permissions, /api/whoami."""

from __future__ import annotations

import base64
import binascii

from broker.core.users import Permission, User, hash_password
from broker.management.errors import BadRequest, NotFound
from broker.management.http import Response
from broker.management.pagination import Item, select_columns, sorted_items
from broker.management.routing import Call, Routes, check_name

routes = Routes()


@routes.add("GET", "whoami")
def whoami(call: Call) -> Item:
    return {"name": call.user.name, "tags": list(call.user.tags)}


def shown(user: User) -> Item:
    """Show a user as `GET /api/users` does."""
    return {
        "name": user.name,
        "password_hash": user.password_hash,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(user.tags),
        "limits": {},
    }


@routes.add("GET", "users", tag="administrator")
def all_users(call: Call) -> list[Item]:
    return sorted_items([shown(user) for user in call.core.users.values()], call.query)


@routes.add("GET", "users/without-permissions", tag="administrator")
def users_without_permissions(call: Call) -> list[Item]:
    return [select_columns(shown(user), call.query) for user in call.core.users.values() if not user.permissions]


@routes.add("POST", "users/bulk-delete", tag="administrator")
async def delete_users(call: Call) -> Response:
    names = call.required("users")[0]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest(["not_list_of_names", "users"])
    for name in names:
        if name not in call.core.users:
            raise BadRequest(["no_such_user", name])
    for name in names:
        await _delete(call, name)
    return Response(204)


async def _delete(call: Call, name: str) -> None:
    """Delete a user and close its connections."""
    for connection in list(call.server.connections.values()):
        if connection.user is not None and connection.user.name == name:
            await call.server.close_connection(connection.name, f"user '{name}' is deleted")
    call.core.delete_user(name)


def _found(call: Call) -> User:
    user = call.core.users.get(call.parts["user"])
    if user is None:
        raise NotFound
    return user


@routes.add("GET", "users/{user}", tag="administrator")
def one_user(call: Call) -> Item:
    return select_columns(shown(_found(call)), call.query)


@routes.add("PUT", "users/{user}", tag="administrator")
def put_user(call: Call) -> Response:
    """Create a user or change its password and tags: 201 for a new one, 204 for an existing one."""
    name = call.parts["user"]
    check_name("user", name)
    is_new = name not in call.core.users
    add_user(call, {**call.json, "name": name})
    return Response(201 if is_new else 204)


def add_user(call: Call, body: Item) -> None:
    """Add or change a user from a body's `tags` and `password` or `password_hash`. Raises BadRequest."""
    if "tags" not in body:
        raise BadRequest("tags_not_present")
    given = body["tags"]
    tags = given if isinstance(given, list) else str(given).split(",")
    cleaned = tuple(str(tag).strip() for tag in tags if str(tag).strip())
    call.core.add_user_hash(body["name"], _hash(body), cleaned)


def _hash(body: Item) -> str:
    if "password_hash" not in body:
        return hash_password(str(body["password"])) if body.get("password") else ""
    try:
        base64.b64decode(body["password_hash"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise BadRequest(["not_base64", body["password_hash"]]) from None
    return str(body["password_hash"])


@routes.add("DELETE", "users/{user}", tag="administrator")
async def delete_user(call: Call) -> Response:
    """Delete a user and its permissions, and close its connections."""
    await _delete(call, _found(call).name)
    return Response(204)


def permission_shown(user: str, vhost: str, permission: Permission) -> Item:
    """Show a permission as `GET /api/permissions` does."""
    return {
        "user": user,
        "vhost": vhost,
        "configure": permission.configure,
        "write": permission.write,
        "read": permission.read,
    }


def permissions(call: Call) -> list[Item]:
    """Return every permission of every user."""
    return [
        permission_shown(user.name, vhost, permission)
        for user in call.core.users.values()
        for vhost, permission in sorted(user.permissions.items())
    ]


@routes.add("GET", "permissions", tag="administrator")
def all_permissions(call: Call) -> list[Item]:
    return sorted_items(permissions(call), call.query)


@routes.add("GET", "users/{user}/permissions", tag="administrator")
def user_permissions(call: Call) -> list[Item]:
    _found(call)
    return [select_columns(item, call.query) for item in permissions(call) if item["user"] == call.parts["user"]]


@routes.add("GET", "vhosts/{name}/permissions", tag="administrator")
def vhost_permissions(call: Call) -> list[Item]:
    if call.parts["name"] not in call.core.vhosts:
        raise NotFound
    return [select_columns(item, call.query) for item in permissions(call) if item["vhost"] == call.parts["name"]]


@routes.add("GET", "permissions/{in_vhost}/{user}", tag="administrator")
def one_permission(call: Call) -> Item:
    permission = _found(call).permissions.get(call.parts["in_vhost"])
    if permission is None:
        raise NotFound
    return select_columns(permission_shown(call.parts["user"], call.parts["in_vhost"], permission), call.query)


@routes.add("PUT", "permissions/{in_vhost}/{user}", tag="administrator")
def put_permission(call: Call) -> Response:
    call.required("configure", "write", "read")
    user, vhost = call.parts["user"], call.parts["in_vhost"]
    is_new = user not in call.core.users or vhost not in call.core.users[user].permissions
    permit(call, {**call.json, "user": user, "vhost": vhost})
    return Response(201 if is_new else 204)


def permit(call: Call, body: Item) -> None:
    """Set permissions from a body's `user`, `vhost` and three patterns. Raises BadRequest."""
    if body["user"] not in call.core.users or body["vhost"] not in call.core.vhosts:
        raise BadRequest("vhost_or_user_not_found")
    try:
        call.core.permit(body["user"], body["vhost"], *(str(body[kind]) for kind in ("configure", "write", "read")))
    except ValueError as error:
        raise BadRequest(["invalid_regexp", str(error)]) from None


@routes.add("DELETE", "permissions/{in_vhost}/{user}", tag="administrator")
def delete_permission(call: Call) -> Response:
    if not call.core.forbid(_found(call).name, call.parts["in_vhost"]):
        raise NotFound
    return Response(204)
