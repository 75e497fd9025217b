"""Users, their passwords and permissions (RabbitMQ docs: access-control, passwords)."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from functools import lru_cache

from broker.core.patterns import compiled, found
from broker.errors import AmqpError


@lru_cache(maxsize=4096)
def _matches(pattern: str, name: str) -> bool:
    """Search, as RabbitMQ does, rather than match. An empty pattern matches only the empty name."""
    return found(pattern or "^$", name)


class Permission:
    """Regular expressions on names of queues and exchanges, for one user in one vhost."""

    __slots__ = ("configure", "read", "write")

    def __init__(self, configure: str = "", write: str = "", read: str = "") -> None:
        """Check the patterns. Raises ValueError for one that does not compile."""
        for pattern in (configure, write, read):
            try:
                compiled(pattern)
            except ValueError as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        self.configure = configure
        self.write = write
        self.read = read


class TopicPermission:
    """Regular expressions on routing keys of one topic exchange. `{username}` and `{vhost}` stand for the client's user
    and vhost (RabbitMQ docs: access-control § topic authorisation).
    """

    __slots__ = ("read", "write")

    def __init__(self, write: str = "", read: str = "") -> None:
        """Check the patterns. Raises ValueError for one that does not compile."""
        Permission(write=write, read=read)
        self.write = write
        self.read = read


class User:
    """A user. `password_hash` is in RabbitMQ's format: base64 of a 4-byte salt and the salted SHA-256."""

    __slots__ = ("name", "password_hash", "permissions", "tags", "topic_permissions")

    def __init__(self, name: str, password_hash: str, tags: tuple[str, ...] = ()) -> None:
        self.name = name
        self.password_hash = password_hash
        self.tags = tags
        self.permissions: dict[str, Permission] = {}
        self.topic_permissions: dict[tuple[str, str], TopicPermission] = {}

    def has_password(self, password: str) -> bool:
        """Return whether that is the user's password. A user without a hash has none."""
        raw = b64decode(self.password_hash or "")
        salt, digest = raw[:4], raw[4:]
        return hmac.compare_digest(hashlib.sha256(salt + password.encode()).digest(), digest)

    def require(self, access: str, kind: str, name: str, vhost: str) -> None:
        """Raise AmqpError 403 unless the user has `access` (configure, write, read) to the queue or exchange."""
        permission = self.permissions.get(vhost)
        if permission is None or not _matches(getattr(permission, access), name or "amq.default"):
            raise AmqpError(403, f"{access} access to {kind} '{name or 'amq.default'}' in vhost '{vhost}' refused for "
                                 f"user '{self.name}'")  # fmt: skip

    def require_topic(self, access: str, exchange: str, routing_key: str, vhost: str) -> None:
        """Raise AmqpError 403 unless the user may write to or read from a topic exchange by that routing key. Without a
        permission for the exchange, all keys are allowed.
        """
        permission = self.topic_permissions.get((vhost, exchange))
        if permission is None:
            return
        pattern: str = getattr(permission, access)
        pattern = pattern.replace("{username}", re.escape(self.name)).replace("{vhost}", re.escape(vhost))
        if not _matches(pattern, routing_key):
            raise AmqpError(403, f"access to topic '{routing_key}' in exchange '{exchange}' in vhost '{vhost}' refused "
                                 f"for user '{self.name}'")  # fmt: skip


def hash_password(password: str) -> str:
    """Return a salted hash in RabbitMQ's format (rabbit_password_hashing_sha256)."""
    salt = secrets.token_bytes(4)
    return b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
