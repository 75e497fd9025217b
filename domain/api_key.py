"""API keys: credentials of programs, as passwords are those of people."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from domain.model import Model
from domain.moment import Moment
from domain.names import printable
from domain.queue_scope import QueueScope
from domain.user import Principal, Role

PREFIX = "wrmq_"
"""Prefix of every key, so that people and scanners for leaked secrets recognise one."""

KeyName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._@+-]+$", examples=["shop"])]
QueuePattern = Annotated[str, AfterValidator(printable), Field(min_length=1, max_length=255, examples=["orders.*"])]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored. `queues` are name patterns; empty admits all queues. `last_used_at` may be a minute behind."""

    name: str
    role: Role
    queues: tuple[str, ...]
    digest: str = field(repr=False)
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def principal(self) -> Principal:
        """The principal of a request with this key. Its name never equals a user's, because user names have no
        colon."""
        scope = QueueScope(self.queues) if self.queues else None
        return Principal(f"key:{self.name}", self.role, f"key:{self.digest}", scope)


class CreateApiKey(Model):
    """Body of `POST /createApiKey`."""

    name: KeyName
    role: Role = Field(examples=["publisher"])
    expires_at: Moment | None = Field(None, description="such as 2027-01-31T12:00:00Z")
    queues: tuple[QueuePattern, ...] = Field(
        (),
        strict=False,
        max_length=100,
        description="patterns of the queues that it may use (* matches any characters, ? one); empty: all queues",
    )


class ApiKeyNamed(Model):
    """Body of `DELETE /deleteApiKey`."""

    name: str = Field(max_length=100, examples=["shop"])
