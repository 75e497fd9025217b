"""Secrets at rest: what a dump of the database must not show is sealed with a key that the database does not hold."""

from __future__ import annotations

import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_FILE = "secret.key"
_FORM = "2."
"""How a sealed text begins. One without it is of the first form: Fernet, tied to no place."""
_KEY_ID, _NONCE = 8, 12  # bytes; the nonce as NIST SP 800-38D §8.2 has it


class Unreadable(Exception):
    """A sealed text that cannot be opened; the message says why, as the end of a sentence."""


class Sealer:
    """Seals small JSON objects, each for one place (AES-256-GCM, NIST SP 800-38D): where it is not, it cannot be
    opened. The first key seals, every key opens."""

    def __init__(self, *keys: str) -> None:
        self._keys = {_derived(key, b"key id", _KEY_ID): AESGCM(_derived(key, b"AES-256-GCM")) for key in keys}
        self._first = next(iter(self._keys))
        self._before = MultiFernet([Fernet(urlsafe_b64encode(_derived(key))) for key in keys])

    @classmethod
    def of(cls, secret_key: str, data_dir: Path) -> Sealer:
        """By SECRET_KEY, or with none by a key file in `data_dir`, made when it is missing. Either holds one key, or
        several with commas between: `new,old`."""
        return cls(*(split_keys(secret_key) or split_keys(_key_of_this_host(data_dir))))

    def seal(self, content: dict[str, Any], place: Sequence[str]) -> str:
        """Return an opaque string that `open` turns back, for the same `place` only."""
        nonce = os.urandom(_NONCE)
        hidden = self._keys[self._first].encrypt(nonce, orjson.dumps(content), _associated(place))
        return _FORM + urlsafe_b64encode(self._first + nonce + hidden).decode()

    def open(self, sealed: str, place: Sequence[str]) -> dict[str, Any]:
        """Return what was sealed for that place, or for none by an earlier version. Raises Unreadable."""
        try:
            opened = self._opened(sealed, place) if sealed.startswith(_FORM) else self._before.decrypt(sealed)
        except InvalidToken:
            raise Unreadable("under another SECRET_KEY") from None
        except InvalidTag:
            raise Unreadable("for another place in the database, or were changed there") from None
        content: dict[str, Any] = orjson.loads(opened)
        return content

    def _opened(self, sealed: str, place: Sequence[str]) -> bytes:
        try:
            octets = urlsafe_b64decode(sealed.removeprefix(_FORM))
        except ValueError:
            raise InvalidTag from None
        key_id, nonce, hidden = octets[:_KEY_ID], octets[_KEY_ID : _KEY_ID + _NONCE], octets[_KEY_ID + _NONCE :]
        if (key := self._keys.get(key_id)) is None:
            raise InvalidToken
        if len(hidden) < 16:
            raise InvalidTag
        return key.decrypt(nonce, hidden, _associated(place))


def split_keys(text: str) -> list[str]:
    """Return the keys of a SECRET_KEY, the one that seals first."""
    return [key for part in text.split(",") if (key := part.strip())]


def _associated(place: Sequence[str]) -> bytes:
    """The place as GCM's associated data. JSON keeps its parts apart, whatever they contain."""
    return orjson.dumps(list(place))


def _derived(key: str, purpose: bytes = b"", length: int = 32) -> bytes:
    # A salt would have to be stored beside the data and adds nothing to a key of full entropy (RFC 5869 §3.1).
    information = b", ".join(filter(None, (b"workerrmq secrets at rest", purpose)))
    return HKDF(SHA256(), length, salt=None, info=information).derive(key.encode())


def _key_of_this_host(data_dir: Path) -> str:
    """All processes of the host find the same key, whichever comes first: link() succeeds for exactly one."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / KEY_FILE
    if not path.exists():
        draft = data_dir / f"{KEY_FILE}.{secrets.token_hex(4)}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
