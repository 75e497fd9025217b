"""The publishes and settlements of a channel that wait for tx.commit (AMQP 0-9-1 §1.9; RabbitMQ docs: semantics)."""

from __future__ import annotations

from broker.core.ledger import Unsettled
from broker.core.message import Message


class Transaction:
    """What has been said since tx.select, the last commit or rollback."""

    def __init__(self) -> None:
        self._publishes: list[tuple[Message, bool]] = []
        self._settlements: list[tuple[list[Unsettled], str]] = []

    def publish(self, message: Message, mandatory: bool) -> None:
        """Hold a message."""
        self._publishes.append((message, mandatory))

    def settle(self, settled: list[Unsettled], verdict: str) -> None:
        """Hold a settlement."""
        self._settlements.append((settled, verdict))

    def take_publishes(self) -> list[tuple[Message, bool]]:
        """The messages held, in order; they are held no more."""
        taken, self._publishes = self._publishes, []
        return taken

    def take_settlements(self) -> list[tuple[list[Unsettled], str]]:
        """The settlements held, in order; they are held no more."""
        taken, self._settlements = self._settlements, []
        return taken
