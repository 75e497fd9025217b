"""Delays as sets of delay levels: level n holds a message for 2^n seconds.

NServiceBus's RabbitMQ transport delays messages in the same way
(https://docs.particular.net/transports/rabbitmq/delayed-delivery).
"""

from __future__ import annotations

TOP_LEVEL = 28
"""2^28 s are 8.5 years. RabbitMQ accepts longer TTLs, but no delay needs them."""

_SIGNIFICANT_BITS = 4


def levels(seconds: int) -> tuple[int, ...]:
    """Return the levels whose times add up to `seconds` (from 1), the highest first. A message passes through each."""
    return tuple(level for level in range(seconds.bit_length() - 1, -1, -1) if seconds >> level & 1)


def longest_wait(level: int) -> int:
    """Return the maximum number of seconds that a message of this level still waits, here and in all lower levels."""
    return (1 << level + 1) - 1


def coarse(seconds: int) -> int:
    """Return `seconds` rounded up to four significant bits: at most four levels, at most an eighth late."""
    unused = max(0, seconds.bit_length() - _SIGNIFICANT_BITS)
    return -(-seconds >> unused) << unused
