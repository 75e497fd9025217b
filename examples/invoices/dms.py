"""DMS, the document archiver: archives the contract of each approved invoice."""

from examples.invoices.desk import Desk


def dms(desk: Desk) -> None:
    """Process approved invoices."""
    desk.answer("invoice.approved", lambda: desk.send("contract.archived", "crm"))
