"""Refusals of the management API as RabbitMQ words them: `{"error": …, "reason": …}` with a status.

Refusal
├── NotFound            404, the object in the path is not there
├── NotAuthorised       401, logged in but not allowed (RabbitMQ's spelling, and its 401 rather than 403)
└── BadRequest          400, the body or the query cannot be done
"""

from __future__ import annotations

from typing import Any

from broker.errors import AmqpError


class Refusal(Exception):
    """Answered with `status` and a body of `error` and `reason`."""

    def __init__(self, status: int, error: str, reason: Any) -> None:
        super().__init__(status, error, reason)
        self.status = status
        self.error = error
        self.reason = reason


class NotFound(Refusal):
    """The object in the path is not there."""

    def __init__(self) -> None:
        super().__init__(404, "Object Not Found", "Not Found")


class NotAuthorised(Refusal):
    """The user may not do that."""

    def __init__(self, reason: str = "Access refused.") -> None:
        super().__init__(401, "not_authorised", reason)


class BadRequest(Refusal):
    """The request's body or query cannot be done."""

    def __init__(self, reason: Any) -> None:
        super().__init__(400, "bad_request", reason)


def of_amqp(error: AmqpError) -> Refusal:
    """A broker's refusal (AMQP 0-9-1 reply code) as the API answers it."""
    if error.code == 403:
        return NotAuthorised()
    if error.code == 404:
        return Refusal(404, "not_found", error.text)
    return BadRequest(error.text)
