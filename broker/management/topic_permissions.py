"""/api/topic-permissions (RabbitMQ docs: access-control § topic authorisation)."""

from __future__ import annotations

from typing import Any

from broker.management.errors import BadRequest, NotFound
from broker.management.http import Response
from broker.management.pagination import Item, select_columns, sorted_items
from broker.management.routing import Call, Routes

routes = Routes()


def items(call: Call, **only: str) -> list[Item]:
    """Return every topic permission; `only` limits them by `user` and `vhost`."""
    every = [
        {"user": user.name, "vhost": vhost, "exchange": exchange, "write": permission.write, "read": permission.read}
        for user in call.core.users.values()
        for (vhost, exchange), permission in sorted(user.topic_permissions.items())
    ]
    return [item for item in every if all(item[field] == value for field, value in only.items())]


@routes.add("GET", "topic-permissions", tag="administrator")
def all_topic_permissions(call: Call) -> Any:
    return sorted_items(items(call), call.query)


@routes.add("GET", "users/{user}/topic-permissions", tag="administrator")
def of_user(call: Call) -> Any:
    if call.parts["user"] not in call.core.users:
        raise NotFound
    return [select_columns(item, call.query) for item in items(call, user=call.parts["user"])]


@routes.add("GET", "vhosts/{vhost}/topic-permissions", tag="administrator")
def of_vhost(call: Call) -> Any:
    return [select_columns(item, call.query) for item in items(call, vhost=call.vhost.name)]


@routes.add("GET", "topic-permissions/{in_vhost}/{user}", tag="administrator")
def of_user_in_vhost(call: Call) -> Any:
    """List the topic permissions of one user in one vhost. RabbitMQ answers 404 if there are none."""
    found = items(call, user=call.parts["user"], vhost=call.parts["in_vhost"])
    if not found:
        raise NotFound
    return [select_columns(item, call.query) for item in found]


@routes.add("PUT", "topic-permissions/{in_vhost}/{user}", tag="administrator")
def put(call: Call) -> Response:
    """Set a user's permission for a topic exchange: 201 for the first one in the vhost, 204 for another."""
    call.required("exchange", "write", "read")
    user, vhost = call.parts["user"], call.parts["in_vhost"]
    is_new = not items(call, user=user, vhost=vhost)
    permit(call, {**call.json, "user": user, "vhost": vhost})
    return Response(201 if is_new else 204)


def permit(call: Call, body: Item) -> None:
    """Set a topic permission from a body's `user`, `vhost`, `exchange`, `write` and `read`. Raises BadRequest."""
    if body["user"] not in call.core.users or body["vhost"] not in call.core.vhosts:
        raise BadRequest("vhost_or_user_not_found")
    patterns = str(body["write"]), str(body["read"])
    try:
        call.core.permit_topic(body["user"], body["vhost"], str(body["exchange"]), *patterns)
    except ValueError as error:
        raise BadRequest(["invalid_regexp", str(error)]) from None


@routes.add("DELETE", "topic-permissions/{in_vhost}/{user}", tag="administrator")
@routes.add("DELETE", "topic-permissions/{in_vhost}/{user}/{exchange}", tag="administrator")
def delete(call: Call) -> Response:
    """Delete the permission for one topic exchange, or all of a user in a vhost. Answer 404 if there are none."""
    if not items(call, user=call.parts["user"], vhost=call.parts["in_vhost"]):
        raise NotFound
    call.core.forbid_topics(call.parts["user"], call.parts["in_vhost"], call.parts.get("exchange"))
    return Response(204)
