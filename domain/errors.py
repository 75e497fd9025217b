"""All errors that the service raises on purpose. They are independent of HTTP: routes/errors.py maps them to statuses.

WorkerError
├── Invalid                the request is invalid
│   ├── TargetRefused      this service may not call the URL
│   └── TooLargeForStore   the document is too large for MongoDB
├── Unauthenticated        credentials are missing, wrong or expired
├── Forbidden              the role or API key does not permit the operation
├── NotFound               no such queue, consumer, user …
├── Conflict               it already exists with other properties
├── IdempotencyMismatch    the Idempotency-Key was used for another request
├── Locked                 the queue is exclusive to another connection
├── PreconditionFailed     ifEmpty or ifUnused is not met
├── Throttled              too many attempts; has retry_after
├── Unroutable             the message reached no queue
├── PublishRefused         the broker refused the message (nack, alarm, full queue); another queue may have it
│   └── Unwritable         the properties and headers are malformed, or too large for a frame
│       └── MessageTooLarge  the body exceeds the broker's max_message_size
├── PublishUnconfirmed     no confirm in time: the message may have been published
├── BrokerUnavailable      RabbitMQ or its management API is down
│   ├── BrokerTimeout      it did not answer in time
│   └── QueueUnavailable   the queue exists, but its node is down
├── StoreUnavailable       MongoDB is down or refuses an operation
└── RendererUnavailable    no process could render a template in time
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self


class WorkerError(Exception):
    """Base of all errors. `code` is stable, for programs; `detail` is a sentence for people that says what to change.

    `fields` has the faults of a request body: pairs of dotted field name and sentence. `retry_after` is in seconds.
    `may_be_published` is true if the message of a failed publish may be in a queue.
    """

    code = "error"
    may_be_published = False

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        fields: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.fields = tuple(fields)
        self.retry_after = retry_after


class Invalid(WorkerError):
    code = "invalid_request"

    @classmethod
    def at(cls, field: str, sentence: str, code: str | None = None) -> Self:
        """Return the error of one field."""
        return cls(f"{field}: {sentence}", code=code, fields=[(field, sentence)])


class TargetRefused(Invalid):
    code = "target_refused"


class TooLargeForStore(Invalid):
    code = "too_large_for_store"


class Unauthenticated(WorkerError):
    code = "unauthenticated"


class Forbidden(WorkerError):
    code = "forbidden"


class NotFound(WorkerError):
    code = "not_found"


class Conflict(WorkerError):
    code = "conflict"


class IdempotencyMismatch(WorkerError):
    code = "idempotency_mismatch"


class Locked(WorkerError):
    code = "locked"


class PreconditionFailed(WorkerError):
    code = "precondition_failed"


class Throttled(WorkerError):
    code = "throttled"


class Unroutable(WorkerError):
    code = "unroutable"


class PublishRefused(WorkerError):
    code = "publish_refused"
    may_be_published = True


class Unwritable(PublishRefused):
    may_be_published = False


class MessageTooLarge(Unwritable):
    code = "message_too_large"


class PublishUnconfirmed(WorkerError):
    code = "publish_unconfirmed"
    may_be_published = True


class BrokerUnavailable(WorkerError):
    code = "broker_unavailable"


class BrokerTimeout(BrokerUnavailable):
    code = "broker_unavailable"


class QueueUnavailable(BrokerUnavailable):
    code = "queue_unavailable"


class StoreUnavailable(WorkerError):
    code = "store_unavailable"


class RendererUnavailable(WorkerError):
    code = "renderer_unavailable"
