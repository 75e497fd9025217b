"""Secrets at rest: what a dump of the database must not show is sealed with a key that the database does not hold."""

from __future__ import annotations

import os
import secrets
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_FILE = "secret.key"


class Unreadable(Exception):
    """Sealed with a key that we do not have."""


class Sealer:
    """Seals small JSON objects (Fernet: AES-128-CBC with HMAC-SHA256). The first key seals, every key opens."""

    def __init__(self, *keys: str) -> None:
        self._fernet = MultiFernet([Fernet(_derived(key)) for key in keys])

    @classmethod
    def of(cls, secret_key: str, data_dir: Path) -> Sealer:
        """By SECRET_KEY, or with none by a key file in `data_dir`, made when it is missing. Either holds one key, or
        several with commas between: `new,old`."""
        return cls(*(_keys(secret_key) or _keys(_key_of_this_host(data_dir))))

    def seal(self, content: dict[str, Any]) -> str:
        """An opaque string that `open` turns back."""
        return self._fernet.encrypt(orjson.dumps(content)).decode()

    def reseal(self, sealed: str) -> str:
        """The same content, sealed by the first key. Raises Unreadable when none of our keys fits."""
        try:
            return self._fernet.rotate(sealed).decode()
        except InvalidToken:
            raise Unreadable from None

    def open(self, sealed: str) -> dict[str, Any]:
        """What was sealed. Raises Unreadable when none of our keys fits."""
        try:
            content: dict[str, Any] = orjson.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise Unreadable from None
        return content


def _keys(text: str) -> list[str]:
    return [key for part in text.split(",") if (key := part.strip())]


def _derived(key: str) -> bytes:
    # A salt would have to be stored beside the data and adds nothing to a key of full entropy (RFC 5869 §3.1).
    material = HKDF(SHA256(), 32, salt=None, info=b"workerrmq secrets at rest").derive(key.encode())
    return urlsafe_b64encode(material)


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
