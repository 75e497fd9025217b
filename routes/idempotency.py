"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header) of operations that declare it.

Answers below 500 are kept for 24 hours, and so is 504 publish_unconfirmed: the message may be in its queue, so a retry
with the same key could duplicate it. After any other 5xx the key is free, so that the client can retry."""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Response, current_app, request

from domain.errors import Invalid, PublishUnconfirmed, WorkerError
from domain.idempotency import KeptAnswer
from middlewares.auth import caller, services
from routes.body import raw_body
from services.idempotency import Outcome

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"[!-~]{1,255}")


def once(answer: Callable[[], Response]) -> Response:
    """Return `answer()`, or the kept answer to an earlier request with the same key. Raises Invalid for a malformed
    key, and the errors of Idempotency.once."""
    key = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return answer()
    if not _KEY.fullmatch(key):
        raise Invalid(f"{HEADER} must have 1 to 255 printable ASCII characters without spaces.")
    made: list[Response] = []

    def outcome() -> Outcome:
        response, kept = _settled(answer)
        made.append(response)
        return KeptAnswer(response.status_code, response.content_type or "", response.get_data(as_text=True)), kept

    kept, replayed = services.idempotency.once(caller().identity, key, _request(), outcome)
    if not replayed:
        return made[0]
    return Response(kept.body, kept.status, {REPLAYED: "true"}, content_type=kept.content_type)


def _request() -> bytes:
    line = f"{request.method} {request.full_path} {request.mimetype}\n"
    return line.encode() + raw_body()


def _settled(answer: Callable[[], Response]) -> tuple[Response, bool]:
    """Return the answer, which may be an error, and whether to keep it."""
    try:
        response = answer()
    except WorkerError as exc:
        response = current_app.make_response(current_app.handle_user_exception(exc))
        return response, response.status_code < 500 or isinstance(exc, PublishUnconfirmed)
    return response, response.status_code < 500
