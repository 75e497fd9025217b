"""Signatures, verified by the library of those who wrote the specification."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from delivery.signing import Signer, retire, sign
from domain.signing_secret import RetiringSecret, SigningSecret

KEY = b"0123456789abcdef01234567"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


def verify(message_id: str, timestamp: int, body: bytes, signature: str) -> None:
    named = {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
    Webhook(SECRET).verify(body, named, json_parse=False)


@given(st.text(st.characters(codec="ascii", exclude_categories=("C",)), min_size=1), st.text())
def test_the_reference_library_accepts_what_we_sign(message_id: str, body: str) -> None:
    now = int(time.time())
    verify(message_id, now, body.encode(), sign(KEY, message_id, now, body.encode()))


@pytest.mark.parametrize(("message_id", "seconds", "body"), [("b", 0, b"x"), ("a", 1, b"x"), ("a", 0, b"y")])
def test_another_id_time_or_body_is_not_accepted(message_id: str, seconds: int, body: bytes) -> None:
    now = int(time.time())
    with pytest.raises(WebhookVerificationError):
        verify(message_id, now + seconds, body, sign(KEY, "a", now, b"x"))


def test_bodies_that_are_no_text_are_signed_as_the_specification_says() -> None:
    # The reference library takes text only, so this is the specification by hand.
    body = bytes(range(256))
    mac = hmac.new(KEY, b"id.1700000000." + body, hashlib.sha256).digest()
    assert sign(KEY, "id", 1_700_000_000, body) == "v1," + base64.b64encode(mac).decode()


def test_a_secret_may_come_with_or_without_its_prefix() -> None:
    assert SigningSecret(SECRET).key == SigningSecret(SECRET.removeprefix("whsec_")).key == KEY


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_of_another_size_is_refused_and_the_size_named(size: int) -> None:
    with pytest.raises(ValueError, match=f"24 to 64 bytes; this is {size}"):
        SigningSecret("whsec_" + base64.b64encode(bytes(size)).decode())


@pytest.mark.parametrize("secret", ["whsec_not base64", "whsec_ünïcode", "whsec_abc"])
def test_a_secret_that_is_not_base64_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="Base64"):
        SigningSecret(secret)


def test_each_secret_that_is_replaced_holds_for_the_overlap_and_no_longer() -> None:
    overlap, now = timedelta(hours=1), datetime(2026, 1, 1, tzinfo=UTC)
    secrets = [SigningSecret("whsec_" + base64.b64encode(bytes([number]) * 24).decode()) for number in range(6)]
    retiring: tuple[RetiringSecret, ...] = ()
    for before, after in pairwise(secrets):
        retiring = retire(before, after, retiring, now, overlap)
        signer = Signer(after, retiring)

        def signatures(at: datetime, signer: Signer = signer) -> int:
            return len(signer.signatures("id", int(at.timestamp()), b"body").split())

        assert signatures(now + overlap - timedelta(seconds=1)) == 2, "the one before that is over"
        assert signatures(now + overlap) == 1
        now += overlap
