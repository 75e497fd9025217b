"""Users of the API: roles, credentials, and the principal of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from domain.model import Model
from domain.queue_scope import QueueScope

Role = Literal["monitor", "viewer", "publisher", "operator", "admin"]
"""Each role includes the rights of those before it: a monitor reads the metrics, a viewer reads everything, a publisher
publishes, an operator manages queues, consumers and connections, an admin manages users and applies configurations."""

RANKS: dict[Role, int] = {"monitor": 0, "viewer": 1, "publisher": 2, "operator": 3, "admin": 4}

MIN_PASSWORD_BYTES = 12
MAX_PASSWORD_BYTES = 72  # bcrypt ignores further bytes, so a longer password would be weaker than it looks


def check_password(password: str) -> str:
    """Return the password. Raises ValueError with a predicate ("must be …") if it is too short or too long."""
    size = len(password.encode())
    if size < MIN_PASSWORD_BYTES:
        raise ValueError(f"must be at least {MIN_PASSWORD_BYTES} bytes long")
    if size > MAX_PASSWORD_BYTES:
        raise ValueError(f"must be at most {MAX_PASSWORD_BYTES} bytes long in UTF-8: bcrypt ignores further bytes")
    return password


def _usable(password: SecretStr) -> SecretStr:
    check_password(password.get_secret_value())
    return password


Username = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._@+-]+$", examples=["alice"])]
NewPassword = Annotated[SecretStr, AfterValidator(_usable), Field(examples=["correct horse battery"])]


@dataclass(frozen=True, slots=True)
class User:
    """A user as stored. `stamp` changes with the password; a token is valid only with the stamp at its creation."""

    username: str
    role: Role
    password_hash: str = field(repr=False)
    stamp: str = field(repr=False)
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None = None

    @property
    def disabled(self) -> bool:
        """Whether the user may not log in, and has no valid token."""
        return self.disabled_at is not None


@dataclass(frozen=True, slots=True)
class Grant:
    """The user that a token authenticates, with the stamp at its creation and the token's expiry."""

    username: str
    stamp: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """The user or API key that makes a request, with its role; `queues`, if given, limits it to these queues.
    `identity` is unique: a later user or API key with the same name has another."""

    username: str
    role: Role
    identity: str
    queues: QueueScope | None = None

    def may(self, role: Role) -> bool:
        """Return whether the principal has the rights of `role`."""
        return RANKS[self.role] >= RANKS[role]


class Credentials(Model):
    """Body of `POST /login`."""

    username: str = Field(max_length=1000, examples=["alice"])
    password: SecretStr = Field(max_length=1000, examples=["correct horse battery"])


class CreateUser(Model):
    """Body of `POST /createUser`."""

    username: Username
    password: NewPassword
    role: Role = Field(examples=["operator"])


class UpdateUser(Model):
    """Body of `PATCH /updateUser`. A field that is left out keeps its value."""

    username: str = Field(max_length=100, examples=["alice"])
    password: NewPassword | None = None
    role: Role | None = None
    disabled: bool | None = Field(None, description="true refuses the user's logins and revokes all their tokens")


class ChangePassword(Model):
    """Body of `POST /changePassword`."""

    current_password: SecretStr = Field(max_length=1000, examples=["correct horse battery"])
    new_password: NewPassword


class UserNamed(Model):
    """Body of `DELETE /deleteUser`."""

    username: str = Field(max_length=100, examples=["alice"])
