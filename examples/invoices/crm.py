"""CRM, the initiator: has an invoice made, and learns in the end that its contract is archived."""

from examples.invoices.desk import Desk
from examples.invoices.message_utilits import say


def crm(desk: Desk) -> None:
    """Begin a cycle, and listen."""
    desk.send("invoice.created", "1c")
    desk.answer("contract.archived", lambda: say("The cycle is complete. Ctrl+C ends this."))
