"""Records requests in the audit log.

Every authenticated request that is not a GET is recorded; publishes only if they fail. Logins are recorded if they
succeed or the password is wrong; failed ones without the user name, because people type passwords there by mistake.
Bodies are never recorded, only the names of the objects that a request changes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Response, current_app, g, request
from pydantic.alias_generators import to_camel

from domain.audit import AuditEntry
from domain.errors import WorkerError
from domain.user import Credentials, Principal
from middlewares.request_log import request_id
from routes.errors import status_of
from services.bundle import Services

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
    except WorkerError as exc:
        _record(inputs.get("body"), status_of(exc))
        raise
    except Exception:
        _record(inputs.get("body"), 500)
        raise
    if not only_refused or answer.status_code >= 400:
        _record(inputs.get("body"), answer.status_code)
    return answer


def record_change(action: str, entry: Any, error: WorkerError | None) -> None:
    """Record a change that the current request makes as the operation `action` would: `entry` is its body."""
    _record(entry, status_of(error) if error else 200, action)


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
    )
    services: Services = current_app.extensions["services"]
    services.audit.add(entry)
