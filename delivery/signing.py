"""HMAC-SHA256 signatures: Standard Webhooks (https://www.standardwebhooks.com, §Signature scheme), GitHub, Stripe."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.signing_secret import RetiringSecret, SigningSecret

_MOST_RETIRING = 4


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature `v1,…` of `id.timestamp.body`; `timestamp` is in Unix seconds."""
    mac = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(mac).decode()


class Signer:
    """Signs with the current secret, and with replaced ones until they expire. A target accepts a message if any of the
    signatures is valid (spec §Multiple signatures), so it can change its secret at any time in between."""

    def __init__(self, secret: SigningSecret, retiring: Sequence[RetiringSecret] = ()) -> None:
        self._key = secret.key
        self._retiring = [(old.secret.key, old.until.timestamp()) for old in retiring]

    def signatures(self, message_id: str, now: int, body: bytes) -> str:
        """Return the value of the `webhook-signature` header; `now` is in Unix seconds."""
        signature = sign(self._key, message_id, now, body)
        for key, until in self._retiring:
            if now < until:
                signature += " " + sign(key, message_id, now, body)
        return signature


def retire(
    replaced: SigningSecret | None,
    current: SigningSecret | None,
    retiring: Sequence[RetiringSecret],
    now: datetime,
    overlap: timedelta,
) -> tuple[RetiringSecret, ...]:
    """Return the secrets that sign besides `current`, after it has replaced `replaced`: the newest first, at most four.
    `replaced` signs until `now` + `overlap`. Without a current secret nothing is signed."""
    if current is None:
        return ()
    if replaced is not None and replaced != current:
        retiring = (RetiringSecret(replaced, now + overlap), *retiring)
    return tuple(old for old in retiring if old.until > now and old.secret != current)[:_MOST_RETIRING]


def github_signature(key: bytes, body: bytes) -> str:
    """Return the `X-Hub-Signature-256` of a body
    (https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries)."""
    return "sha256=" + hmac.digest(key, body, "sha256").hex()


def stripe_signature(key: bytes, timestamp: int, body: bytes) -> str:
    """Return the `Stripe-Signature` of a body, `timestamp` in Unix seconds
    (https://docs.stripe.com/webhooks#verify-manually)."""
    mac = hmac.digest(key, f"{timestamp}.".encode() + body, "sha256")
    return f"t={timestamp},v1={mac.hex()}"
