"""Which refusals a client must reckon with, by status: what each means, and its stable codes. Only documentation; that
it is true is for routes/errors.py, and for the tests that compare."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One status; `codes` are the values that `code` may have with it."""

    meaning: str
    codes: tuple[str, ...]


REFUSALS = {
    400: Refusal(
        "What was sent cannot be used as it stands.",
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
    401: Refusal("No, wrong or expired credentials.", ("unauthenticated", "token_invalid", "wrong_credentials")),
    403: Refusal("The role does not reach that far, or the queues of the API key.", ("forbidden", "outside_key_scope")),
    404: Refusal(
        "There is no such thing.",
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
    408: Refusal("The body did not come in time.", ("body_timeout",)),
    409: Refusal(
        "It exists, and otherwise; or it is not the time for this.",
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
        "ifEmpty, ifUnused or ifRevision does not hold.",
        ("precondition_failed", "queue_not_empty", "queue_in_use", "exchange_in_use", "consumer_changed"),
    ),
    413: Refusal(
        "The body, a message for the broker, or a document for MongoDB is over the limit.",
        ("body_too_large", "message_too_large", "too_large_for_store"),
    ),
    415: Refusal("The body is not of a type that is taken.", ("unsupported_media_type",)),
    422: Refusal(
        "No queue took the message: it is not published. Or the Idempotency-Key was used for another request.",
        ("unroutable", "exchange_not_found", "idempotency_mismatch"),
    ),
    423: Refusal("The queue is exclusive to another connection.", ("locked",)),
    429: Refusal("Too many tries; wait as long as Retry-After says.", ("throttled",)),
    500: Refusal("A fault of the service; its log tells more.", ("internal_error",)),
    503: Refusal(
        "RabbitMQ or MongoDB is away or refuses; try again after Retry-After.",
        (
            "broker_unavailable",
            "queue_unavailable",
            "broker_access_refused",
            "store_unavailable",
            "publish_refused",
            "not_ready",
            "virtual_host_not_found",
        ),
    ),
    504: Refusal("No confirm in time: the message may be published.", ("publish_unconfirmed",)),
}

BODY = (400, 408, 413, 415)
"""What reading a body may end in."""

LOGIN = (401, 403, 503)
"""What looking at the bearer token may end in."""
