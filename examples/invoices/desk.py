"""A system's messaging: sends events with the PDF and processes those for the system."""

from collections.abc import Callable
from pathlib import Path

from emulators.rabbit_emulator import RabbitMQ
from examples.invoices.message_utilits import InvoiceError, create_pdf_msg, decode_pdf_msg, say
from examples.invoices.service import RestBroker


class Desk:
    """The messaging of one system. Each has its own broker client, which `close` closes."""

    def __init__(self, system: str, broker: RabbitMQ | RestBroker, pdf: Path) -> None:
        self.system, self._broker, self._pdf = system, broker, pdf
        self.close = broker.close

    def send(self, event: str, receiver: str) -> None:
        """Publish an event with the PDF to the receiver's queue."""
        message = create_pdf_msg(event, self.system, receiver, self._pdf)
        say(f"{self.system} sends {event} to {receiver}, with {self._pdf.name}")
        self._broker.publish(f"{receiver}_queue", message)

    def answer(self, event: str, then: Callable[[], object]) -> None:
        """Save the PDF of each message for this system and call `then`. Another event or a malformed message raises
        InvoiceError, which dead-letters the message.
        """

        def process(body: str) -> None:
            message = decode_pdf_msg(body)
            if message.get("event") != event:
                raise InvoiceError(f"{self.system} takes {event}, and not {message.get('event')}.")
            say(f"{self.system} has got {event} from {message.get('sender')}, and saved {message['filename']}")
            then()

        self._broker.consume(f"{self.system}_queue", process, f"{self.system}_queue.dlq")
