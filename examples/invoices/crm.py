"""CRM, the initiator: requests an invoice and is told when its contract is archived."""

from examples.invoices.desk import Desk
from examples.invoices.message_utilits import say


def crm(desk: Desk) -> None:
    """Start a cycle and process the last event."""
    desk.send("invoice.created", "1c")
    desk.answer("contract.archived", lambda: say("The cycle is complete. Ctrl+C ends this."))
