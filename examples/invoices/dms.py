"""DMS, the document archiver: archives the contract of each invoice that is approved."""

from examples.invoices.desk import Desk


def dms(desk: Desk) -> None:
    """Listen."""
    desk.answer("invoice.approved", lambda: desk.send("contract.archived", "crm"))
