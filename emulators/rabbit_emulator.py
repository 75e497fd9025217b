"""A message broker as one class: named queues that all of a process share, consumers in threads, dead letters."""

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from emulators.kombu_emulator import Connection, Message

_NAME = "rabbit-emulator"

_log = logging.getLogger(__name__)


class Waiting:
    """An attribute: the messages that wait for a consumer, by queue, as they are when it is asked for."""

    def __get__(self, *_: object) -> dict[str, list[Any]]:
        with Connection(_NAME) as connection:
            channel = connection.channel()
            held = channel.do(lambda _: {name: [*queue.ready] for name, queue in channel.vhost.queues.items()})
            return {name: [Message.delivered(None, 0, entry).body for entry in held[name]] for name in held}


class RabbitMQ:
    """A client of the process's queues. Messages are strings, bytes, or whatever JSON can hold."""

    queues = Waiting()
    _dead_letter_queues: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._connection = Connection(_NAME)
        self._channel = self._connection.channel()

    def declare_queue(self, queue_name: str, dead_letter_queue: str | None = None) -> None:
        """See to it that the queue is there, and the one for messages whose processing fails."""
        self._channel.queue_declare(queue_name)
        if dead_letter_queue is not None:
            self._channel.queue_declare(dead_letter_queue)
            self._dead_letter_queues[queue_name] = dead_letter_queue

    def publish(self, queue_name: str, message: Any) -> None:
        """Add a message to the queue, which is made if it was not there. Raises EmulatorError when closed."""
        self.declare_queue(queue_name)
        self._channel.basic_publish(Message(message), routing_key=queue_name)

    def consume(self, queue_name: str, callback: Callable[[Any], object], dead_letter_queue: str | None = None) -> None:
        """Call back with each message, in a thread of its own, until `close`; returns at once. A message whose callback
        fails goes to the dead-letter queue; without one it goes back to its queue when this client closes.
        """
        self.declare_queue(queue_name, dead_letter_queue)

        def process(message: Message) -> None:
            try:
                callback(message.body)
            except Exception as error:
                dead_letters = dead_letter_queue or self._dead_letter_queues.get(queue_name)
                if dead_letters is None:
                    raise
                _log.error("A message from %s goes to %s: %s", queue_name, dead_letters, error)
                self.publish(dead_letters, message.body)
            message.ack()

        self._channel.basic_consume(queue_name, process)

    def close(self) -> None:
        """Stop the consumers, each after the message that it has. Nothing happens the second time."""
        self._connection.disconnect()
