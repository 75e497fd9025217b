"""Records requests in the audit log.

Every authenticated request that is not a GET is recorded; publishes only if they fail. Logins are recorded if they
succeed or the password is wrong; failed ones without the user name, because people type passwords there by mistake.
Bodies are never recorded, only the names of the objects that a request changes, and the fields that differ afterwards
(audit_changes.py), with masked secrets."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, cast

from flask import Response, g, request
from pydantic.alias_generators import to_camel

from domain.audit import AuditEntry, State, changes
from domain.configuration import Change
from domain.errors import WorkerError
from domain.user import Credentials, Principal
from middlewares.auth import services
from middlewares.request_log import request_id
from routes.audit_changes import UNKNOWN, WATCHES, read
from routes.errors import status_of

T = TypeVar("T")

_NAMES = (
    "queue_name",
    "exchange",
    "destination_exchange",
    "dead_letter_queue",
    "to_queue",
    "consumer_id",
    "kind",
    "name",
    "username",
    "connection_id",
)


def audited(handle: Callable[[], Response], inputs: Mapping[str, Any], only_refused: bool) -> Response:
    """Call `handle`, record the request, and return the answer. `handle` must put the validated body into `inputs`.
    Raises the errors of `handle`."""
    try:
        answer = handle()
    except Exception as exc:
        _record(inputs.get("body"), status_of(exc))
        raise
    if not only_refused or answer.status_code >= 400:
        _record(inputs.get("body"), answer.status_code)
    return answer


def watched(view: Callable[[], T], operation: str, body: Any) -> T:
    """Call `view`, and note for the audit log what it changes."""
    watch = WATCHES.get(operation)
    if watch is None:
        return view()
    before = read(partial(watch.before, services, body)) if watch.before else None
    reply: Any = view()
    if watch.before or reply.status != 200:
        after = read(partial(watch.after, services, body, reply.content)) if watch.after else None
        g.changes = () if UNKNOWN is before or UNKNOWN is after else changes(before, after)
    return cast(T, reply)


def record_change(action: str, entry: Any, error: WorkerError | None, made: Sequence[Change] = ()) -> None:
    """Record a change that the current request makes as the operation `action` would: `entry` is its body, `made` are
    the fields that it changes."""
    g.changes = () if error else made
    _record(entry, status_of(error) if error else 200, action)
    g.changes = ()


def recorder(body: Any) -> Callable[[State], None]:
    """Return a function for another thread, which records the result of what the current request begins."""
    entry, audit = _entry(body, 200), services.audit

    def record(result: State) -> None:
        if entry is not None:
            made = tuple(changes(None, result))
            audit.add(replace(entry, entry_id=secrets.token_hex(12), at=datetime.now(UTC), changes=made))

    return record


def _record(body: Any, status: int, action: str | None = None) -> None:
    if entry := _entry(body, status, action):
        services.audit.add(entry)


def _entry(body: Any, status: int, action: str | None = None) -> AuditEntry | None:
    """Return the entry of the current request; None if it is not recorded."""
    caller: Principal | None = g.get("caller")
    user = caller.username if caller else None
    if isinstance(body, Credentials):
        if status not in {200, 401}:
            return None
        user, body = (body.username, None) if status == 200 else (None, None)
    elif caller is None:
        return None
    named = {name: getattr(body, name, None) for name in _NAMES}
    return AuditEntry(
        entry_id=secrets.token_hex(12),
        at=datetime.now(UTC),
        user=user,
        action=action or request.path.lstrip("/"),
        resource={to_camel(name): value for name, value in named.items() if isinstance(value, str) and value},
        remote=request.remote_addr or "",
        status=status,
        request_id=request_id(),
        changes=tuple(g.get("changes", ())),
    )
