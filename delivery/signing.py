"""Standard Webhooks signatures (https://www.standardwebhooks.com, spec §Signature scheme: v1, HMAC-SHA256)."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import SecretStr

from domain.consumer import RetiringSecret

_MOST_RETIRING = 4

_PREFIX = "whsec_"


def decode_secret(secret: str) -> bytes:
    """The key in a `whsec_…` secret. Raises ValueError with a sentence when it is not one of 24 to 64 bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:  # binascii.Error is one
        raise ValueError("must be whsec_ followed by Base64") from None
    if not 24 <= len(key) <= 64:
        raise ValueError(f"must decode to 24 to 64 bytes; this is {len(key)}")
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of `id.timestamp.body`, `timestamp` in Unix seconds."""
    mac = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(mac).decode()


class Signer:
    """Signs with one secret, and until their time is up with those that it replaced: a target takes the message when
    any signature of the list fits (spec §Multiple signatures), so that it can change its secret in peace."""

    def __init__(self, secret: str, retiring: Sequence[RetiringSecret] = ()) -> None:
        """Raises ValueError when a secret is none."""
        self._key = decode_secret(secret)
        self._retiring = [(decode_secret(old.secret.get_secret_value()), old.until.timestamp()) for old in retiring]

    def signatures(self, message_id: str, now: int, body: bytes) -> str:
        """The `webhook-signature` header's value; `now` in Unix seconds."""
        signature = sign(self._key, message_id, now, body)
        for key, until in self._retiring:
            if now < until:
                signature += " " + sign(key, message_id, now, body)
        return signature


def retire(
    replaced: SecretStr | None,
    current: SecretStr | None,
    retiring: Sequence[RetiringSecret],
    now: datetime,
    overlap: timedelta,
) -> tuple[RetiringSecret, ...]:
    """The secrets that hold beside the `current` one, after it has taken the place of `replaced`, which holds for
    `overlap` from `now` on: the newest first, at most four. Without a current one nothing is signed."""
    if current is None:
        return ()
    if replaced is not None and replaced != current:
        retiring = (RetiringSecret(replaced, now + overlap), *retiring)
    return tuple(old for old in retiring if old.until > now and old.secret != current)[:_MOST_RETIRING]
