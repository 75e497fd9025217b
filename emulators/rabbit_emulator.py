"""A message broker as one class: named queues shared by the process, consumers in threads, dead letters."""

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from emulators.kombu_emulator import Connection, Message

_NAME = "rabbit-emulator"

_log = logging.getLogger(__name__)


class ReadyMessages:
    """A descriptor: the ready messages of each queue at the time of access."""

    def __get__(self, *_: object) -> dict[str, list[Any]]:
        with Connection(_NAME) as connection:
            channel = connection.channel()
            held = channel.do(lambda _: {name: [*queue.ready] for name, queue in channel.vhost.queues.items()})
            return {name: [Message.delivered(None, 0, entry).body for entry in held[name]] for name in held}


class RabbitMQ:
    """A client of the process's queues. Messages are strings, bytes or any JSON value."""

    queues = ReadyMessages()
    _dead_letter_queues: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._connection = Connection(_NAME)
        self._channel = self._connection.channel()

    def declare_queue(self, queue_name: str, dead_letter_queue: str | None = None) -> None:
        """Create the queue, and the one for messages whose processing fails, if they do not exist."""
        self._channel.queue_declare(queue_name)
        if dead_letter_queue is not None:
            self._channel.queue_declare(dead_letter_queue)
            self._dead_letter_queues[queue_name] = dead_letter_queue

    def publish(self, queue_name: str, message: Any) -> None:
        """Publish a message to the queue; create the queue if it does not exist. Raises EmulatorError when closed."""
        self.declare_queue(queue_name)
        self._channel.basic_publish(Message(message), routing_key=queue_name)

    def consume(self, queue_name: str, callback: Callable[[Any], object], dead_letter_queue: str | None = None) -> None:
        """Call `callback` with each message, in its own thread, until `close`. Return at once.

        If the callback fails, the message goes to the dead-letter queue; without one, it is requeued when this client
        closes.
        """
        self.declare_queue(queue_name, dead_letter_queue)

        def process(message: Message) -> None:
            try:
                callback(message.body)
            except Exception as error:
                dead_letters = dead_letter_queue or self._dead_letter_queues.get(queue_name)
                if dead_letters is None:
                    raise
                _log.error("Processing a message of %s failed; moved to %s: %s", queue_name, dead_letters, error)
                self.publish(dead_letters, message.body)
            message.ack()

        self._channel.basic_consume(queue_name, process)

    def close(self) -> None:
        """Stop each consumer after its current message. Do nothing if the client is closed."""
        self._connection.disconnect()
