"""Where a system works: it has a broker, sends events with the PDF, and takes in those that are for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol

from examples.invoices.message_utilits import InvoiceError, create_pdf_msg, decode_pdf_msg

say = partial(print, flush=True)


class Broker(Protocol):
    """What a system needs of a broker: emulators.rabbit_emulator.RabbitMQ has it, and service.RestBroker."""

    def declare_queue(self, queue_name: str, dead_letter_queue: str | None = None) -> None: ...
    def publish(self, queue_name: str, message: str) -> None: ...
    def consume(self, queue_name: str, callback: Callable[[str], object]) -> None: ...
    def close(self) -> None: ...


class Desk:
    """The desk of one system; each has a broker client of its own."""

    def __init__(self, system: str, connect: Callable[[], Broker], pdf: Path, stop: Event) -> None:
        self._system, self._broker, self._pdf, self._stop = system, connect(), pdf, stop

    def send(self, event: str, receiver: str) -> None:
        """Publish an event, with the PDF, to the receiver's queue."""
        message = create_pdf_msg(event, self._system, receiver, self._pdf)
        self._broker.declare_queue(f"{receiver}_queue", f"{receiver}_queue.dlq")
        say(f"{self._system} sends {event} to {receiver}, with {self._pdf.name}")
        self._broker.publish(f"{receiver}_queue", message)

    def answer(self, event: str, then: Callable[[], object]) -> None:
        """Until the end, save the PDF of each message for this system, and `then` go on. Another event than this, or a
        malformed message, is an InvoiceError: a dead letter.
        """

        def process(body: str) -> None:
            message = decode_pdf_msg(body)
            if message.get("event") != event:
                raise InvoiceError(f"{self._system} takes {event}, and not {message.get('event')}.")
            say(f"{self._system} has got {event} from {message.get('sender')}, and saved {message['filename']}")
            then()

        queue = f"{self._system}_queue"
        try:
            self._broker.declare_queue(queue, f"{queue}.dlq")
            self._broker.consume(queue, process)
            self._stop.wait()
        finally:
            self._broker.close()
