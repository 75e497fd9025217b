"""1C, the invoice processor: approves each invoice that is created."""

from examples.invoices.desk import Desk


def one_c(desk: Desk) -> None:
    """Listen."""
    desk.answer("invoice.created", lambda: desk.send("invoice.approved", "dms"))
