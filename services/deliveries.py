"""The log of delivery attempts."""

from __future__ import annotations

from domain.attempt import Attempt, AttemptFilter
from domain.details import Page
from domain.selection import Order
from gateway.mongo.attempts import Attempts


class Deliveries:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    def page(self, wanted: AttemptFilter, order: Order, number: int, size: int) -> Page[Attempt]:
        """Return page `number` (from 1) of the attempts that match, in `order`."""
        return self._attempts.find(wanted, order, number, size)
