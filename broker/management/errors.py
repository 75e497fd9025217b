"""Refusals of the management API as RabbitMQ words them: `{"error": …, "reason": …}` with a status.

ApiError
├── NotFound            404, the object in the path is not there
├── NotAuthorised       401, logged in but not allowed (RabbitMQ's spelling, and its 401 rather than 403)
└── BadRequest          400, the body or the query cannot be done
"""

from __future__ import annotations

from typing import Any

from broker.errors import AmqpError


class ApiError(Exception):
    """A response with `status` and a body of `error` and `reason`."""

    def __init__(self, status: int, error: str, reason: Any) -> None:
        super().__init__(status, error, reason)
        self.status = status
        self.error = error
        self.reason = reason


class NotFound(ApiError):
    """The object in the path does not exist."""

    def __init__(self) -> None:
        super().__init__(404, "Object Not Found", "Not Found")


class NotAuthorised(ApiError):
    """The user lacks the permission."""

    def __init__(self, reason: str = "Access refused.") -> None:
        super().__init__(401, "not_authorised", reason)


class BadRequest(ApiError):
    """The request's body or query is invalid."""

    def __init__(self, reason: Any) -> None:
        super().__init__(400, "bad_request", reason)


def from_amqp(error: AmqpError) -> ApiError:
    """Translate an AMQP error (AMQP 0-9-1 reply code) to the API's."""
    if error.code == 403:
        return NotAuthorised()
    if error.code == 404:
        return ApiError(404, "not_found", error.text)
    return BadRequest(error.text)
