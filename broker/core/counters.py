"""A queue's counters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Totals of a queue since the broker started, in messages."""

    published: int = 0
    delivered: int = 0
    delivered_no_ack: int = 0
    got: int = 0
    got_no_ack: int = 0
    redelivered: int = 0
    acked: int = 0
    dropped: int = 0

    def count_delivery(self, redelivered: bool, no_ack: bool, got: bool) -> None:
        """Count a message that went to a consumer or to basic.get."""
        if redelivered:
            self.redelivered += 1
        if got and no_ack:
            self.got_no_ack += 1
        elif got:
            self.got += 1
        elif no_ack:
            self.delivered_no_ack += 1
        else:
            self.delivered += 1
