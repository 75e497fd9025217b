"""The stored facts about a problem: its start, and the user or API key that has acknowledged it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from domain.model import Model


class Acknowledgement(Model):
    """The user or API key that has acknowledged a problem, with a note."""

    by: str
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class KnownProblem:
    """`since` is the start of the problem, or the time at which it was first seen."""

    since: datetime
    acknowledged: Acknowledgement | None


class ProblemNamed(Model):
    """Identifies a problem of `GET /getOverview`."""

    kind: str = Field(max_length=100, examples=["consumer_suspended"])
    name: str = Field(max_length=1000, examples=["orders-erp"])


class AcknowledgeProblem(ProblemNamed):
    """Body of `POST /acknowledgeProblem`."""

    note: str = Field("", max_length=500, examples=["The bank fixes it by 09:00."])
