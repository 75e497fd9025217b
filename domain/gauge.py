"""Gauges for monitoring, and their readings."""

from __future__ import annotations

from dataclasses import dataclass

OTHER = "other"
"""The label of the series that sums up all items without a separate series. It limits the number of series."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric that goes up and down: its name, its description, and the names of its labels."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


Readings = dict[Gauge, dict[tuple[str, ...], float]]
"""The values of gauges at one moment, by the values of their labels."""
