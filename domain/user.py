"""Users of the API, what they may do, and how they show who they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from domain.model import Model
from domain.queue_scope import QueueScope

Role = Literal["monitor", "viewer", "publisher", "operator", "admin"]
"""Each may do all that the one before it may: a monitor reads the metrics, a viewer everything; a publisher also
publishes; an operator also manages queues, consumers and connections; an admin also manages users."""

RANKS: dict[Role, int] = {"monitor": 0, "viewer": 1, "publisher": 2, "operator": 3, "admin": 4}

MIN_PASSWORD_BYTES = 12
MAX_PASSWORD_BYTES = 72  # bcrypt uses no more; a longer password would be weaker than it looks


def check_password(password: str) -> str:
    """The password. Raises ValueError with a sentence when it is too short or too long to be used."""
    size = len(password.encode())
    if size < MIN_PASSWORD_BYTES:
        raise ValueError(f"must be at least {MIN_PASSWORD_BYTES} bytes long")
    if size > MAX_PASSWORD_BYTES:
        raise ValueError(f"must be at most {MAX_PASSWORD_BYTES} bytes long in UTF-8: bcrypt uses no more")
    return password


def _usable(password: SecretStr) -> SecretStr:
    check_password(password.get_secret_value())
    return password


Username = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._@+-]+$", examples=["alice"])]
NewPassword = Annotated[SecretStr, AfterValidator(_usable), Field(examples=["correct horse battery"])]


@dataclass(frozen=True, slots=True)
class User:
    """A user as stored. `stamp` changes with the password; a token carries the stamp that it was made under."""

    username: str
    role: Role
    password_hash: str = field(repr=False)
    stamp: str = field(repr=False)
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token stands for."""

    username: str
    stamp: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request, and as what; with `queues`, only with these. `identity` is never another's, not even of a
    later user or API key with the same name."""

    username: str
    role: Role
    identity: str
    queues: QueueScope | None = None

    def may(self, role: Role) -> bool:
        """Whether this one reaches as far as `role`."""
        return RANKS[self.role] >= RANKS[role]


class Credentials(Model):
    """What `POST /login` takes."""

    username: str = Field(max_length=1000, examples=["alice"])
    password: SecretStr = Field(max_length=1000, examples=["correct horse battery"])


class CreateUser(Model):
    """What `POST /createUser` takes."""

    username: Username
    password: NewPassword
    role: Role = Field(examples=["operator"])


class UpdateUser(Model):
    """What `PATCH /updateUser` takes: what is left out stays."""

    username: str = Field(max_length=100, examples=["alice"])
    password: NewPassword | None = None
    role: Role | None = None
    disabled: bool | None = Field(None, description="true keeps the user out and ends all their tokens")


class UserNamed(Model):
    """What `DELETE /deleteUser` takes."""

    username: str = Field(max_length=100, examples=["alice"])
