"""The log of attempts, as a use case."""

from __future__ import annotations

from domain.attempt import Attempt, AttemptFilter
from domain.details import Page
from domain.selection import Order
from gateway.mongo.attempts import Attempts


class Deliveries:
    """Raises StoreUnavailable."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    def page(self, wanted: AttemptFilter, order: Order, number: int, size: int) -> Page[Attempt]:
        """One page of the attempts that are wanted, in that order; the first page is 1."""
        return self._attempts.find(wanted, order, number, size)
