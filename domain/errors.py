"""Every error that the service raises on purpose. They know no HTTP: routes/errors.py owns the table to statuses.

WorkerError
├── Invalid                what the client sent cannot be used as it stands
│   ├── TargetRefused      the URL is one that this service may not call
│   └── TooLargeForStore   MongoDB takes no document of that size
├── Unauthenticated        no, wrong or expired credentials
├── Forbidden              the role (or key) does not reach that far
├── NotFound               no such queue, consumer, user …
├── Conflict               it exists, and otherwise
├── IdempotencyMismatch    the Idempotency-Key was used for another request
├── Locked                 exclusive to another connection
├── PreconditionFailed     ifEmpty / ifUnused does not hold
├── Throttled              too many tries; carries retry_after
├── Unroutable             the broker had no queue for the message
├── PublishRefused         the broker took the message and said no (nack, alarm, full queue)
│   └── Unwritable         AMQP cannot carry it: its properties and headers are too large for a frame, or malformed
│       └── MessageTooLarge  the body is over the broker's max_message_size
├── PublishUnconfirmed     no answer in time: it may have been published
├── BrokerUnavailable      RabbitMQ, or its management API, cannot be reached
│   ├── BrokerTimeout      it did not answer in time
│   └── QueueUnavailable   the queue exists, and its node is down
└── StoreUnavailable       MongoDB cannot be reached, or refuses an operation
"""

from __future__ import annotations

from collections.abc import Sequence


class WorkerError(Exception):
    """Base of all. `code` is stable and for programs, `detail` is one sentence for people that says what to change.

    `fields` names what was wrong with a body: pairs of (dotted field, sentence). `retry_after` is in seconds.
    """

    code = "error"

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


class Unwritable(PublishRefused):
    code = "publish_refused"


class MessageTooLarge(Unwritable):
    code = "message_too_large"


class PublishUnconfirmed(WorkerError):
    code = "publish_unconfirmed"


class BrokerUnavailable(WorkerError):
    code = "broker_unavailable"


class BrokerTimeout(BrokerUnavailable):
    code = "broker_unavailable"


class QueueUnavailable(BrokerUnavailable):
    code = "queue_unavailable"


class StoreUnavailable(WorkerError):
    code = "store_unavailable"
