"""Documents the error statuses of the API: the meaning of each, and its stable codes. routes/errors.py decides the
statuses; tests compare both."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error status; `codes` are the possible values of `code`."""

    meaning: str
    codes: tuple[str, ...]


REFUSALS = {
    400: Refusal(
        "The request is invalid. Change it as `detail` says.",
        (
            "invalid_request",
            "malformed_json",
            "refused_by_broker",
            "url_missing",
            "target_refused",
            "queue_unfit",
            "stream_queue",
        ),
    ),
    401: Refusal(
        "The credentials are missing, wrong or expired.", ("unauthenticated", "token_invalid", "wrong_credentials")
    ),
    403: Refusal(
        "The caller's role, or the queues of the API key, do not allow this.", ("forbidden", "outside_key_scope")
    ),
    404: Refusal(
        "It does not exist.",
        (
            "not_found",
            "queue_not_found",
            "exchange_not_found",
            "binding_not_found",
            "consumer_not_found",
            "connection_not_found",
            "queue_empty",
        ),
    ),
    408: Refusal("The body did not arrive in time.", ("body_timeout",)),
    409: Refusal(
        "It already exists with other settings, or the current state does not allow this.",
        (
            "conflict",
            "queue_exists_otherwise",
            "exchange_exists_otherwise",
            "consumer_ambiguous",
            "last_admin",
            "busy",
            "idempotency_in_flight",
            "idempotency_unreadable",
        ),
    ),
    412: Refusal(
        "The condition ifEmpty, ifUnused or ifRevision is not met.",
        ("precondition_failed", "queue_not_empty", "queue_in_use", "exchange_in_use", "consumer_changed"),
    ),
    413: Refusal(
        "The body, a message for the broker, or a document for MongoDB is too large.",
        ("body_too_large", "message_too_large", "too_large_for_store"),
    ),
    415: Refusal("The content type or encoding of the body is not supported.", ("unsupported_media_type",)),
    422: Refusal(
        "No queue received the message, so it is not published. Or the Idempotency-Key was used for another request.",
        ("unroutable", "exchange_not_found", "idempotency_mismatch"),
    ),
    423: Refusal("The queue is exclusive to another connection.", ("locked",)),
    429: Refusal("Too many requests. Retry after the seconds in Retry-After.", ("throttled",)),
    500: Refusal("The service failed. Search its log for the requestId.", ("internal_error",)),
    503: Refusal(
        "RabbitMQ or MongoDB is down or refuses, or the service is busy. Retry after the seconds in Retry-After.",
        (
            "broker_unavailable",
            "queue_unavailable",
            "broker_access_refused",
            "store_unavailable",
            "renderer_unavailable",
            "publish_refused",
            "not_ready",
            "virtual_host_not_found",
        ),
    ),
    504: Refusal("The broker did not confirm in time. The message may have been published.", ("publish_unconfirmed",)),
}

BODY = (400, 408, 413, 415)
"""Error statuses of reading a body."""

LOGIN = (401, 403, 503)
"""Error statuses of checking the bearer token."""
