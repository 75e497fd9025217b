"""Password hashes (bcrypt). A check takes the same time whether the user exists or not."""

from __future__ import annotations

import bcrypt

from runtime.native_threads import NativeThreads

COST = 12  # 2^12 rounds, about 0.25 s, during which bcrypt releases the GIL
_NOBODY = b"$2b$12$lCQ9s/lRelzxYki9Nb88re4QL2/46WzDVO7FwVt9DnpCOdhZS/y6C"
"""The hash of an unknown password, with the same cost as real ones."""

AT_ONCE = 2
"""Threads for bcrypt: few, so that a burst of logins leaves CPU time for other requests."""

_THREADS = NativeThreads(AT_ONCE)


def hashed(password: str) -> str:
    """Return the hash to store. The password must have a valid length (domain.user.check_password)."""
    return _THREADS.run(lambda: bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST))).decode()


def matches(password: str, password_hash: str | None) -> bool:
    """Return whether the password is correct. Without a hash, return False after the same time."""
    # No password has over 72 bytes, and bcrypt refuses longer ones. The cut keeps the time constant.
    given = password.encode()
    stored = password_hash.encode() if password_hash else _NOBODY
    right = _THREADS.run(lambda: bcrypt.checkpw(given[:72], stored))
    return right and password_hash is not None and len(given) <= 72
