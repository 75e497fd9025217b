"""What can be read off the service at a moment, for monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OTHER = "other"
"""The label under which all are summed up that get no series of their own, so that the series stay few."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """Something that goes up and down: its name and meaning, and what its readings are told apart by."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()

    def reads(self, values: Mapping[tuple[str, ...], float]) -> Readings:
        """Values by labels, in the order of `labels`."""
        return Readings(self, values)


@dataclass(frozen=True, slots=True)
class Readings:
    """A gauge at a moment."""

    gauge: Gauge
    values: Mapping[tuple[str, ...], float]
