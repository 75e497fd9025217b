"""The body of every error (RFC 9457). gunicorn's worker uses it, too, so this module does not import Flask."""

from __future__ import annotations

from typing import Any


def problem_details(
    status: int, code: str, detail: str, request_id: str, instance: str | None = None
) -> dict[str, Any]:
    """Return the body; `instance` is the path of the request, if it is known."""
    return {
        "type": f"urn:workerrmq:error:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        **({} if instance is None else {"instance": instance}),
        "code": code,
        "requestId": request_id,
        "errors": [],
    }
