"""DMS, the document archiver: archives the contract of each invoice that is approved."""

from __future__ import annotations

from collections.abc import Callable

from examples.invoices.desk import Desk


def dms(sit_down: Callable[[str], Desk]) -> None:
    """Listen."""
    desk = sit_down("dms")
    desk.answer("invoice.approved", lambda: desk.send("contract.archived", "crm"))
