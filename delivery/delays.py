"""How a delay is spelled in delay levels: level n keeps a message for 2^n seconds, so a delay is a set of levels.

NServiceBus's RabbitMQ transport delays messages in the same way
(https://docs.particular.net/transports/rabbitmq/delayed-delivery).
"""

from __future__ import annotations

TOP_LEVEL = 28
"""2^28 s are 8.5 years. RabbitMQ takes a longer TTL, but no one waits for it."""

_SIGNIFICANT_BITS = 4


def levels(seconds: int) -> tuple[int, ...]:
    """The levels whose times add up to `seconds` (from 1), the highest first. A message passes through each."""
    return tuple(level for level in range(seconds.bit_length() - 1, -1, -1) if seconds >> level & 1)


def longest_wait(level: int) -> int:
    """Seconds that a message in this level is from its time, at most: it may have to pass each lower one, too."""
    return (1 << level + 1) - 1


def coarse(seconds: int) -> int:
    """`seconds` rounded up to four significant bits: at most four levels, and at most an eighth late."""
    unused = max(0, seconds.bit_length() - _SIGNIFICANT_BITS)
    return -(-seconds >> unused) << unused
