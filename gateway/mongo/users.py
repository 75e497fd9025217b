"""Users of the API."""

from __future__ import annotations

from datetime import datetime

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from domain.errors import Conflict, NotFound
from domain.user import Role, User
from gateway.mongo.collection import Document, IndexedCollection, change, store_call


class Users(IndexedCollection):
    """Users by name, which is the document's id and therefore unique. All methods raise StoreUnavailable."""

    def __init__(self, database: Database[Document]) -> None:
        super().__init__(database, "users")

    @store_call
    def add(self, user: User) -> None:
        """Store a new user. Raises Conflict if the name is in use; of several concurrent calls, exactly one
        succeeds."""
        try:
            self._collection().insert_one(
                {
                    "_id": user.username,
                    "revision": 1,
                    "role": user.role,
                    "passwordHash": user.password_hash,
                    "stamp": user.stamp,
                    "createdAt": user.created_at,
                    "updatedAt": user.updated_at,
                    "disabledAt": user.disabled_at,
                }
            )
        except DuplicateKeyError:
            raise Conflict(f"The user {user.username!r} already exists.") from None

    @store_call
    def get(self, username: str) -> User:
        """Return one user. Raises NotFound."""
        document = self._collection().find_one({"_id": username})
        if document is None:
            raise NotFound(f"There is no user {username!r}.")
        return _user(document)

    @store_call
    def all(self) -> list[User]:
        """Return all users, by name."""
        return [_user(document) for document in self._collection().find().sort("_id", 1)]

    @store_call
    def count(self) -> int:
        """Return the number of users."""
        return self._collection().count_documents({})

    @store_call
    def any_enabled(self, role: Role) -> bool:
        """Return whether any user with this role is not disabled."""
        found = self._collection().find({"role": role}, {"disabledAt": 1})  # the embedded store cannot query for null
        return any(document.get("disabledAt") is None for document in found)

    @store_call
    def set_role(self, username: str, role: Role, now: datetime) -> User:
        """Change a user's role. Return the user before the change. Raises NotFound."""
        return self._changed(username, {"role": role, "updatedAt": now})

    @store_call
    def set_disabled(self, username: str, at: datetime | None, now: datetime) -> User:
        """Disable a user at a time, or enable it with None. Return the user before the change. Raises NotFound."""
        return self._changed(username, {"disabledAt": at, "updatedAt": now})

    @store_call
    def set_password(self, username: str, password_hash: str, stamp: str, now: datetime) -> User:
        """Change a user's password; the new `stamp` invalidates all the user's tokens. Return the user before the
        change. Raises NotFound."""
        return self._changed(username, {"passwordHash": password_hash, "stamp": stamp, "updatedAt": now})

    @store_call
    def remove(self, username: str) -> None:
        """Delete a user. Raises NotFound."""
        if not self._collection().delete_one({"_id": username}).deleted_count:
            raise NotFound(f"There is no user {username!r}.")

    def _changed(self, username: str, fields: Document) -> User:
        changed = change(self._collection(), {"_id": username}, lambda _: fields)
        if changed is None:
            raise NotFound(f"There is no user {username!r}.")
        return _user(changed[0])


def _user(document: Document) -> User:
    return User(
        username=document["_id"],
        role=document["role"],
        password_hash=document["passwordHash"],
        stamp=document["stamp"],
        created_at=document["createdAt"],
        updated_at=document["updatedAt"],
        disabled_at=document.get("disabledAt"),
    )
