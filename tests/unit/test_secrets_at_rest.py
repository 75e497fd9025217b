"""Sealed texts: opened in their place only, and by a key that is known."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from gateway.mongo.secrets import Sealer, Unreadable

CONTENT = {"headers": {"X-Pin": "canary"}, "auth": None}
OLD = "an old key that has 32 bytes or more"
SEALED_BEFORE = (
    "gAAAAABrC7ipuFJDbmypTg_Y3ek3gJovRIo0RIpxc1RVqJn9xRbbkaEieoh_dBLOh-QCyE_rx6vjy4ncJTZ96pQrreys6I8kxJPgxfHfwY9jbptKkDbm"
    "flIfBcHSOCc4xjGgqlfTXJ2X"
)
"""CONTENT as the last version with Fernet sealed it under OLD."""
HERE = ("consumer", "one", "https://erp.example:443")


def test_any_of_the_keys_opens_a_sealed_text_in_its_place() -> None:
    sealed = Sealer("old").seal(CONTENT, HERE)
    assert "canary" not in sealed
    assert Sealer("new", "old").open(sealed, HERE) == CONTENT
    assert Sealer("old").seal(CONTENT, HERE) != sealed


@pytest.mark.parametrize(
    "elsewhere",
    [
        ("consumer", "two", HERE[2]),
        ("consumer", "one", "https://thief.example:443"),
        ("consumer", "one", "http://erp.example:443"),
        ("idempotent answer", "one", HERE[2]),
        ("consumer", 'one","https://erp.example:443'),
        ("consumer", "one"),
    ],
)
def test_in_another_place_it_stays_shut_and_the_key_is_not_blamed(elsewhere: tuple[str, ...]) -> None:
    sealer = Sealer("new", "old")
    for sealed in (sealer.seal(CONTENT, HERE), Sealer("old").seal(CONTENT, HERE)):
        with pytest.raises(Unreadable, match="the document was changed in the database"):
            sealer.open(sealed, elsewhere)


def test_a_key_that_is_gone_is_named_as_the_reason() -> None:
    for sealed in (Sealer("lost").seal(CONTENT, HERE), SEALED_BEFORE):
        with pytest.raises(Unreadable, match="encrypted with another SECRET_KEY"):
            Sealer("new", "old").open(sealed, HERE)


def test_any_change_of_a_sealed_text_is_noticed() -> None:
    sealer = Sealer("key")
    sealed = sealer.seal(CONTENT, HERE)
    octets = urlsafe_b64decode(sealed[2:])
    for position in range(len(octets)):
        changed = bytearray(octets)
        changed[position] ^= 1
        with pytest.raises(Unreadable):
            sealer.open("2." + urlsafe_b64encode(changed).decode(), HERE)
    for nonsense in (
        "",
        "2.",
        "2.x",
        "2.é",
        sealed[:-4],
        sealed[:20],
        sealed + "AAAA",
        sealed[2:],
        "gAAAAA",
        "2." + sealed,
    ):
        with pytest.raises(Unreadable):
            sealer.open(nonsense, HERE)


def test_the_form_of_earlier_versions_is_still_read() -> None:
    assert Sealer("new", OLD).open(SEALED_BEFORE, HERE) == CONTENT
