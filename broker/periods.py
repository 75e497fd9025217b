"""The periods of the broker's server, in one place and passed down, so that a test can live through several of each.

Those of the protocol are in `session/transport.py`; `core/` keeps no time of its own: it is told what time it is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Periods:
    """All in seconds."""

    disk: float = 5.0
    """between two looks at the room on the journal's disk"""
    rewrite: float = 1.0
    """before a batch that the disk refused is written again"""
    farewell: float = 2.0
    """that clients have to answer connection.close when the broker stops"""
    patience: float = 60.0
    """that the management API waits for an idle connection, a slow body, a slow reader"""
    commit: float = 30.0
    """that the journal has to commit a request to the management API"""
