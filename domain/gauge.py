"""Gauges for monitoring, and their readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OTHER = "other"
"""The label of the series that sums up all items without a separate series. It limits the number of series."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric that goes up and down: its name, its description, and the names of its labels."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()

    def reads(self, values: Mapping[tuple[str, ...], float]) -> Readings:
        """Return readings of this gauge; the keys of `values` are label values in the order of `labels`."""
        return Readings(self, values)


@dataclass(frozen=True, slots=True)
class Readings:
    """The values of a gauge at one moment, by label values."""

    gauge: Gauge
    values: Mapping[tuple[str, ...], float]
