"""CRM, the initiator: has an invoice made, and learns in the end that its contract is archived."""

from __future__ import annotations

from collections.abc import Callable

from examples.invoices.desk import Desk, say


def crm(sit_down: Callable[[str], Desk]) -> None:
    """Begin a cycle, and listen."""
    desk = sit_down("crm")
    desk.send("invoice.created", "1c")
    desk.answer("contract.archived", lambda: say("The cycle is complete. Ctrl+C ends this."))
