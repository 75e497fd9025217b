"""Publishing messages. What is said to be published is in a queue: the broker confirmed it."""

from __future__ import annotations

from collections.abc import Sequence

from domain.errors import WorkerError
from domain.message import Message
from gateway.amqp.publisher_thread import PublisherThread


class Messages:
    """Thread-safe. Waits for the broker's confirms for at most `timeout` seconds."""

    def __init__(self, publisher: PublisherThread, timeout: float) -> None:
        self._publisher = publisher
        self._timeout = timeout

    def publish(self, message: Message) -> None:
        """Return once it is in a queue. Raises Unroutable, PublishRefused, BrokerUnavailable, and PublishUnconfirmed
        when it may or may not have been published."""
        [error] = self._publisher.publish([message], self._timeout)
        if error:
            raise error

    def publish_all(self, messages: Sequence[Message]) -> list[WorkerError | None]:
        """What became of each, in order; None is published. Raises, as `publish` does, when all failed alike."""
        errors = self._publisher.publish(messages, self._timeout)
        first = errors[0]
        if first and all(error and error.code == first.code for error in errors):
            raise type(first)(
                f"None of the {len(errors)} messages: {first.detail}", code=first.code, retry_after=first.retry_after
            )
        return errors
