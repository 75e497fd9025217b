"""1C, the invoice processor: approves each invoice that is created."""

from __future__ import annotations

from collections.abc import Callable

from examples.invoices.desk import Desk


def one_c(sit_down: Callable[[str], Desk]) -> None:
    """Listen."""
    desk = sit_down("1c")
    desk.answer("invoice.created", lambda: desk.send("invoice.approved", "dms"))
