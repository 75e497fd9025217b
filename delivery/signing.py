"""Standard Webhooks signatures (https://www.standardwebhooks.com, spec §Signature scheme: v1, HMAC-SHA256)."""

from __future__ import annotations

import base64
import hmac

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
