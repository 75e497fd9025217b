"""Records requests in the audit log.

Every authenticated request that is not a GET is recorded; publishes only if they fail. Logins are recorded if they
succeed or the password is wrong; failed ones without the user name, because people type passwords there by mistake.
Bodies are never recorded, only the names of the objects that a request changes and, where an operation declares how to
read its object (`reads=…`), the fields that differ afterwards, with masked secrets."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from flask import Response, g, request
from pydantic.alias_generators import to_camel

from domain.audit import AuditEntry, State, changes
from domain.configuration import Change
from domain.errors import WorkerError
from domain.user import Credentials, Principal
from middlewares.auth import services
from middlewares.request_log import request_id
from routes.errors import status_of

T = TypeVar("T")

_NAMES = (
    "queue_name",
    "exchange",
    "destination_exchange",
    "dead_letter_queue",
    "to_queue",
    "consumer_id",
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


Read = Callable[[Any], State | None]
"""Returns the present state of the object that the validated body names; None if it does not exist."""


def watched(view: Callable[[], T], read: Read | None, body: Any) -> T:
    """Call `view`, and note for the audit log what it changes in the object that `read` reads."""
    if read is None:
        return view()
    before = _state(read, body)
    answer = view()
    g.changes = changes(before, _state(read, body))
    return answer


def _state(read: Read, body: Any) -> State | None:
    try:
        return read(body)
    except WorkerError:  # it does not exist, or the view will raise the same
        return None


def record_change(action: str, entry: Any, error: WorkerError | None, made: Sequence[Change] = ()) -> None:
    """Record a change that the current request makes as the operation `action` would: `entry` is its body, `made` are
    the fields that it changes."""
    g.changes = () if error else made
    _record(entry, status_of(error) if error else 200, action)
    g.changes = ()


def _record(body: Any, status: int, action: str | None = None) -> None:
    caller: Principal | None = g.get("caller")
    user = caller.username if caller else None
    if isinstance(body, Credentials):
        if status not in {200, 401}:
            return
        user, body = (body.username, None) if status == 200 else (None, None)
    elif caller is None:
        return
    named = {name: getattr(body, name, None) for name in _NAMES}
    entry = AuditEntry(
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
    services.audit.add(entry)
