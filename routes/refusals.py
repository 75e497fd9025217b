"""The errors that routes can answer, each as its status and its stable code. routes/errors.py decides the statuses; the
tests' clients compare every error that they get."""

from __future__ import annotations

MEANINGS = {
    400: "The request is invalid. Change it as `detail` says.",
    401: "The credentials are missing, wrong or expired.",
    403: "The user's role, or the queues of the API key, do not permit the request.",
    404: "The object does not exist.",
    408: "The body arrived more slowly than BODY_TIMEOUT permits.",
    409: "The object already exists with other settings, or its current state does not permit the request.",
    412: "The condition ifEmpty, ifUnused or ifRevision is not met.",
    413: "The body, a message for the broker, or a document for MongoDB is too large.",
    415: "The content type or encoding of the body is not supported.",
    422: "The message is not published, because no queue received it; or the Idempotency-Key has another request.",
    423: "The queue is exclusive to another connection.",
    429: "Too many requests. Retry after the seconds in Retry-After.",
    500: "The service failed. Search its log for the requestId.",
    503: "RabbitMQ or MongoDB is down or refuses the operation, or the service is busy. Wait for Retry-After. "
    "After publish_refused the message may have been published.",
    504: "The broker did not confirm in time. The message may have been published.",
}

ALWAYS = ("500 internal_error",)
QUERY = ("400 invalid_request",)
BODY = (
    "400 invalid_request",
    "400 malformed_json",
    "408 body_timeout",
    "413 body_too_large",
    "415 unsupported_media_type",
)
SEARCH = ("429 throttled",)
"""Lists that are filtered by a regular expression."""
LOGIN = (
    "401 unauthenticated",
    "401 token_invalid",
    "403 outside_key_scope",
    "503 store_unavailable",
)
"""The check of the bearer token."""
IDEMPOTENT = ("409 idempotency_in_flight", "409 idempotency_unreadable", "422 idempotency_mismatch")
"""The header Idempotency-Key."""
CONSUMER = ("404 consumer_not_found", "409 consumer_ambiguous")
"""The choice of one consumer."""
AMQP = ("503 broker_unavailable", "503 broker_access_refused")
BROKER = (*AMQP, "503 virtual_host_not_found")
"""RabbitMQ's management API."""
QUEUE = (*BROKER, "503 queue_unavailable")
"""RabbitMQ's management API for a queue, whose node may be down."""
COPIES = ("413 message_too_large", "422 unroutable", "503 publish_refused", "504 publish_unconfirmed")
"""Publishing, also of a copy."""
LOOK = ("400 stream_queue", "404 queue_not_found", "423 locked", *AMQP, "503 queue_unavailable")
"""A look into a queue by AMQP."""
