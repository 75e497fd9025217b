"""A channel's publishes and settlements until tx.commit (AMQP 0-9-1 §1.9; RabbitMQ docs: semantics)."""

from __future__ import annotations

from broker.core.message import Message
from broker.core.unacked_deliveries import Delivery


class Transaction:
    """The operations since tx.select, or since the last commit or rollback."""

    def __init__(self) -> None:
        self._publishes: list[tuple[Message, bool]] = []
        self._settlements: list[tuple[list[Delivery], str]] = []

    def publish(self, message: Message, mandatory: bool) -> None:
        """Hold a message until the commit."""
        self._publishes.append((message, mandatory))

    def settle(self, settled: list[Delivery], verdict: str) -> None:
        """Hold a settlement until the commit."""
        self._settlements.append((settled, verdict))

    def take_publishes(self) -> list[tuple[Message, bool]]:
        """Remove and return the held messages, in order."""
        taken, self._publishes = self._publishes, []
        return taken

    def take_settlements(self) -> list[tuple[list[Delivery], str]]:
        """Remove and return the held settlements, in order."""
        taken, self._settlements = self._settlements, []
        return taken
