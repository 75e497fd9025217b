"""1C, the invoice processor: approves each created invoice."""

from examples.invoices.desk import Desk


def one_c(desk: Desk) -> None:
    """Process created invoices."""
    desk.answer("invoice.created", lambda: desk.send("invoice.approved", "dms"))
