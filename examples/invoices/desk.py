"""Where a system works: it has a broker, sends events with the PDF, and takes in those that are for it."""

from collections.abc import Callable
from pathlib import Path

from emulators.rabbit_emulator import RabbitMQ
from examples.invoices.message_utilits import InvoiceError, create_pdf_msg, decode_pdf_msg, say
from examples.invoices.service import RestBroker


class Desk:
    """The desk of one system; each has a broker client of its own, which `close` closes."""

    def __init__(self, system: str, broker: RabbitMQ | RestBroker, pdf: Path) -> None:
        self.system, self._broker, self._pdf = system, broker, pdf
        self.close = broker.close

    def send(self, event: str, receiver: str) -> None:
        """Publish an event, with the PDF, to the receiver's queue."""
        message = create_pdf_msg(event, self.system, receiver, self._pdf)
        say(f"{self.system} sends {event} to {receiver}, with {self._pdf.name}")
        self._broker.publish(f"{receiver}_queue", message)

    def answer(self, event: str, then: Callable[[], object]) -> None:
        """From now on save the PDF of each message for this system, and `then` go on. Another event than this, or a
        malformed message, is an InvoiceError: a dead letter.
        """

        def process(body: str) -> None:
            message = decode_pdf_msg(body)
            if message.get("event") != event:
                raise InvoiceError(f"{self.system} takes {event}, and not {message.get('event')}.")
            say(f"{self.system} has got {event} from {message.get('sender')}, and saved {message['filename']}")
            then()

        self._broker.consume(f"{self.system}_queue", process, f"{self.system}_queue.dlq")
