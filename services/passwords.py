"""Passwords: hashed with bcrypt, checked in the same time whether the user exists or not."""

from __future__ import annotations

import bcrypt

from runtime.native_threads import NativeThreads

COST = 12  # 2^12 rounds, about a quarter of a second; bcrypt releases Python's lock meanwhile
_NOBODY = b"$2b$12$lCQ9s/lRelzxYki9Nb88re4QL2/46WzDVO7FwVt9DnpCOdhZS/y6C"
"""The hash of something that nobody knows, of the same cost as real ones."""

AT_ONCE = 2
"""Threads for bcrypt. Few, so that a burst of logins leaves the processors to the other requests."""

_THREADS = NativeThreads(AT_ONCE)


def hashed(password: str) -> str:
    """The hash to store. The password must be of a usable length (domain.user.check_password)."""
    return _THREADS.run(lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST))).decode()


def matches(password: str, password_hash: str | None) -> bool:
    """Whether the password is the right one. Without a hash never, after the same time."""
    # A password over 72 bytes is nobody's, and bcrypt refuses it: cut, it costs the same and is still wrong.
    given = password.encode()
    stored = password_hash.encode() if password_hash else _NOBODY
    right = _THREADS.run(lambda: bcrypt.checkpw(given[:72], stored))
    return right and password_hash is not None and len(given) <= 72
