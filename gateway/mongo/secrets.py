"""Secrets at rest: the database has them only sealed, with a key that it does not contain."""

from __future__ import annotations

import os
import re
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
MIN_KEY = 32
"""The least length of a key that seals, in bytes, for a strength of 256 bits (NIST SP 800-57 part 1 §5.6.1)."""
_EXAMPLE_KEY = re.compile("change.?me|example|placeholder|random.bytes|your.secret", re.IGNORECASE)
"""Matches example keys from documentation, ours and others', but no random key."""
_FORM = "2."
"""Prefix of sealed texts. Those without it are from an earlier version: Fernet, valid for every place."""
_KEY_ID, _NONCE = 8, 12  # bytes; the nonce's length is that of NIST SP 800-38D §8.2


class Unreadable(Exception):
    """A sealed text cannot be opened. The message is the reason, for error texts: "… cannot be decrypted (reason)"."""


class Sealer:
    """Seals small JSON objects (AES-256-GCM, NIST SP 800-38D), each for one place, where alone it can be opened. The
    first key seals; every key opens."""

    def __init__(self, *keys: str) -> None:
        self._keys = {_derived(key, b"key id", _KEY_ID): AESGCM(_derived(key, b"AES-256-GCM")) for key in keys}
        self._first = next(iter(self._keys))
        self._before = MultiFernet([Fernet(urlsafe_b64encode(_derived(key))) for key in keys])

    @classmethod
    def of(cls, secret_key: str, data_dir: Path) -> Sealer:
        """Return a sealer with the keys of SECRET_KEY or, if it is empty, of a key file in `data_dir`, which is created
        if missing. Both hold one key, or several separated by commas: `new,old`."""
        return cls(*(split_keys(secret_key) or split_keys(_key_of_this_host(data_dir))))

    def seal(self, content: dict[str, Any], place: Sequence[str]) -> str:
        """Return a sealed text, which `open` opens for the same `place` only."""
        nonce = os.urandom(_NONCE)
        hidden = self._keys[self._first].encrypt(nonce, orjson.dumps(content), _associated(place))
        return _FORM + urlsafe_b64encode(self._first + nonce + hidden).decode()

    def open(self, sealed: str, place: Sequence[str]) -> dict[str, Any]:
        """Return the content that was sealed for this place, or by an earlier version for any. Raises Unreadable."""
        try:
            opened = self._opened(sealed, place) if sealed.startswith(_FORM) else self._before.decrypt(sealed)
        except InvalidToken:
            raise Unreadable("encrypted with another SECRET_KEY") from None
        except InvalidTag:
            raise Unreadable("the document was changed in the database") from None
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
    """Return the keys in a SECRET_KEY; the first one seals."""
    return [key for part in text.split(",") if (key := part.strip())]


def check_keys(text: str) -> None:
    """Check the first key in `text`, which seals. Further keys only open, so their length does not matter. Raises
    ValueError with the rest of a sentence."""
    for key in split_keys(text)[:1]:
        if len(key.encode()) < MIN_KEY:
            fault = f"has fewer than {MIN_KEY} bytes"
        elif _EXAMPLE_KEY.search(key):
            fault = "is an example from documentation"
        else:
            return
        raise ValueError(
            f"{fault}. Generate one with `openssl rand -base64 {MIN_KEY}`. To replace a key in use, put the new key "
            "first, as in SECRET_KEY=NEW,OLD, and run `flask rotate-secret-key`"
        )


def _associated(place: Sequence[str]) -> bytes:
    """Return a place as GCM's associated data. JSON separates its parts unambiguously."""
    return orjson.dumps(list(place))


def _derived(key: str, purpose: bytes = b"", length: int = 32) -> bytes:
    # A salt would have to be stored with the data, and adds nothing to a key of full entropy (RFC 5869 §3.1).
    information = b", ".join(filter(None, (b"workerrmq secrets at rest", purpose)))
    return HKDF(SHA256(), length, salt=None, info=information).derive(key.encode())


def _key_of_this_host(data_dir: Path) -> str:
    """Return the key in the key file; create the file if it is missing. All processes of the host get the same key,
    because link() succeeds for exactly one of them."""
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
