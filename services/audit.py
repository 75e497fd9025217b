"""The audit log."""

from __future__ import annotations

from typing import Any

from domain.audit import AuditEntry, AuditFilter
from domain.details import Page
from domain.selection import Order
from gateway.mongo.audit import AuditEntries
from services.log_writer import LogWriter


class AuditLog(LogWriter[AuditEntry]):
    """A part of the process's runtime. Any thread may call `add` and `page`."""

    def __init__(self, entries: AuditEntries, **options: Any) -> None:
        """`options` are those of LogWriter."""
        super().__init__("audit", entries.add, **options)
        self._entries = entries

    def page(self, wanted: AuditFilter, order: Order, number: int, size: int) -> Page[AuditEntry]:
        """Return page `number` (from 1) of the entries that match, in `order`. Raises StoreUnavailable."""
        return self._entries.find(wanted, order, number, size)
