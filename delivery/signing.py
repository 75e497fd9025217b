"""HMAC-SHA256 signatures: Standard Webhooks (https://www.standardwebhooks.com, §Signature scheme), GitHub, Stripe."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.signing_secret import RetiringSecret, SigningSecret

_MOST_RETIRING = 4


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of `id.timestamp.body`, `timestamp` in Unix seconds."""
    mac = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return "v1," + base64.b64encode(mac).decode()


class Signer:
    """Signs with one secret, and until their time is up with those that it replaced: a target takes the message when
    any signature of the list fits (spec §Multiple signatures), so that it can change its secret in peace."""

    def __init__(self, secret: SigningSecret, retiring: Sequence[RetiringSecret] = ()) -> None:
        self._key = secret.key
        self._retiring = [(old.secret.key, old.until.timestamp()) for old in retiring]

    def signatures(self, message_id: str, now: int, body: bytes) -> str:
        """The `webhook-signature` header's value; `now` in Unix seconds."""
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
    """The secrets that hold beside the `current` one, after it has taken the place of `replaced`, which holds for
    `overlap` from `now` on: the newest first, at most four. Without a current one nothing is signed."""
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
