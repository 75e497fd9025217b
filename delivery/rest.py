"""When a consumer rests, and when it is suspended: what its answers say about its configuration."""

from __future__ import annotations

SUSPEND_AFTER = 10
"""Answers in a row that mean misconfiguration."""

GONE = 410
"""The target says that it will not come back (RFC 9110 §15.5.11): no need to ask ten times."""

_LONGEST = 5.0


class Rest:
    """Counts suspend-class answers in a row. A settled delivery of any other kind starts the count anew."""

    __slots__ = ("_row",)

    def __init__(self) -> None:
        self._row = 0

    def clear(self) -> None:
        self._row = 0

    def suspend_class(self, status: int | None) -> float | None:
        """Seconds to rest before taking messages again; None: suspend the consumer."""
        self._row += 1
        if self._row >= SUSPEND_AFTER or status == GONE:
            return None
        return float(min(_LONGEST, 0.5 * 2 ** (self._row - 1)))
