"""The whole broker: vhosts, users and deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from broker.core.deadlines import Deadlines
from broker.core.journal import Journal, NullJournal
from broker.core.pager import Pager
from broker.core.queue import Queue
from broker.core.users import Permission, TopicPermission, User, hash_password
from broker.core.vhost import Vhost


class Broker:
    """Vhosts and users by name. Use it from one thread at a time; times are epoch seconds."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal: Journal = journal or NullJournal()
        self.deadlines = Deadlines()
        self.vhosts: dict[str, Vhost] = {}
        self.users: dict[str, User] = {}
        self.pager = Pager(self._queues)
        self._queue_ids = count(1)

    def reserve_queue_ids(self, highest: int) -> None:
        """Number new queues from `highest` + 1."""
        self._queue_ids = count(highest + 1)

    def _queues(self) -> Iterator[Queue]:
        for vhost in self.vhosts.values():
            yield from vhost.queues.values()

    # --- vhosts

    def add_vhost(self, name: str) -> Vhost:
        """Return the vhost; create it if it does not exist."""
        if name not in self.vhosts:
            self.vhosts[name] = Vhost(name, self.journal, self.deadlines, self.pager, lambda: next(self._queue_ids))
            self.journal.define("vhost", name, {"name": name})
        return self.vhosts[name]

    def delete_vhost(self, name: str, now: float) -> bool:
        """Delete a vhost and everything in it. Return False if there is none. The server closes its connections."""
        vhost = self.vhosts.get(name)
        if vhost is None:
            return False
        for queue in list(vhost.queues):
            vhost.delete_queue(queue, now)
        for exchange in [exchange for exchange in vhost.exchanges.values() if not exchange.name.startswith("amq.")]:
            if exchange.name in vhost.exchanges and exchange.name:
                vhost.delete_exchange(exchange.name)
        for user in self.users.values():
            self.forbid(user.name, name)
            self.forbid_topics(user.name, name)
        for policy in list(vhost.policies.by_name):
            vhost.policies.delete(policy, now)
        del self.vhosts[name]
        self.journal.undefine("vhost", name)
        return True

    # --- users

    def add_user(self, name: str, password: str, tags: tuple[str, ...] = ()) -> User:
        """Create a user, or change the password and tags of an existing one."""
        return self.add_user_hash(name, hash_password(password), tags)

    def add_user_hash(self, name: str, password_hash: str, tags: tuple[str, ...] = ()) -> User:
        """Create or change a user by the password's hash. An empty hash allows no login."""
        user = self.users.setdefault(name, User(name, password_hash))
        user.password_hash, user.tags = password_hash, tags
        self.journal.define("user", name, {"name": name, "password_hash": password_hash, "tags": list(tags)})
        return user

    def delete_user(self, name: str) -> bool:
        """Delete a user and its permissions. Return False if there is none."""
        user = self.users.get(name)
        if user is None:
            return False
        for vhost in list(user.permissions):
            self.forbid(name, vhost)
        for vhost in {key[0] for key in user.topic_permissions}:
            self.forbid_topics(name, vhost)
        del self.users[name]
        self.journal.undefine("user", name)
        return True

    def permit(self, user: str, vhost: str, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        """Set a user's permissions in a vhost. Raises KeyError for an unknown user, ValueError for a bad pattern."""
        self.users[user].permissions[vhost] = Permission(configure, write, read)
        self.journal.define("permission", f"{user}\0{vhost}", {
            "user": user, "vhost": vhost, "configure": configure, "write": write, "read": read,
        })  # fmt: skip

    def forbid(self, user: str, vhost: str) -> bool:
        """Delete a user's permissions in a vhost. Return False if there are none. Raises KeyError for an unknown
        user.
        """
        if self.users[user].permissions.pop(vhost, None) is None:
            return False
        self.journal.undefine("permission", f"{user}\0{vhost}")
        return True

    def permit_topic(self, user: str, vhost: str, exchange: str, write: str = ".*", read: str = ".*") -> None:
        """Set a user's permission for a topic exchange. Raises KeyError, ValueError as `permit`."""
        self.users[user].topic_permissions[vhost, exchange] = TopicPermission(write, read)
        self.journal.define("topic_permission", f"{user}\0{vhost}\0{exchange}", {
            "user": user, "vhost": vhost, "exchange": exchange, "write": write, "read": read,
        })  # fmt: skip

    def forbid_topics(self, user: str, vhost: str, exchange: str | None = None) -> None:
        """Delete a user's permission for a topic exchange, or those for all of a vhost. Raises KeyError."""
        permissions = self.users[user].topic_permissions
        for key in [key for key in permissions if key[0] == vhost and exchange in (None, key[1])]:
            del permissions[key]
            self.journal.undefine("topic_permission", f"{user}\0{vhost}\0{key[1]}")

    def authenticate(self, name: str, password: str) -> User | None:
        """Return the user if name and password are right."""
        user = self.users.get(name)
        return user if user is not None and user.has_password(password) else None

    # --- time

    def next_deadline(self) -> float | None:
        """Return the time of the next `tick`."""
        return self.deadlines.next()

    def tick(self, now: float) -> None:
        """Expire messages and queues and retry dead letters that are due by `now`."""
        self.deadlines.run_due(now)
