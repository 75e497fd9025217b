"""Rates of counters, measured between two requests: entities that nobody requests cost nothing."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

# The shortest interval of a rate, in seconds; earlier requests get the last rate again.
_INTERVAL = 5.0


class Rates:
    """The last figures of each entity, for its lifetime. Belongs to the loop's thread."""

    def __init__(self) -> None:
        self._seen: WeakKeyDictionary[Any, dict[str, tuple[float, int, float]]] = WeakKeyDictionary()

    def added(self, entity: object, counts: dict[str, int], now: float) -> dict[str, Any]:
        """Return the counts, each with `<name>_details.rate`, its change per second."""
        seen = self._seen.setdefault(entity, {})
        item: dict[str, Any] = {}
        for name, count in counts.items():
            since, before, rate = seen.get(name, (now, count, 0.0))
            if now - since >= _INTERVAL:
                since, before, rate = now, count, (count - before) / (now - since)
            seen[name] = (since, before, rate)
            item[name] = count
            item[f"{name}_details"] = {"rate": round(rate, 3)}
        return item
