"""`auth` and `tls` of consumers: what is refused, what is secret, and what does not follow to another place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from domain.consumer import ConsumerSpec
from domain.consumer_changes import ConsumerChanges
from domain.credentials import left_masked, redacted
from domain.errors import Invalid
from domain.model import MASK
from tests.support.certificates import Authority

TOKEN_URL = "https://idp.example/token"
OAUTH2: dict[str, Any] = {"type": "oauth2", "tokenUrl": TOKEN_URL, "clientId": "me", "clientSecret": "canary-1",
                          "params": {"resource": "canary-2"}}  # fmt: skip
SCHEMES: dict[str, dict[str, Any]] = {
    "oauth2": OAUTH2,
    "apiKey": {"type": "apiKey", "name": "X-Key", "value": "canary-1"},
    "awsSigV4": {"type": "awsSigV4", "region": "eu-west-1", "service": "lambda", "accessKeyId": "AKIA",
                 "secretAccessKey": "canary-1"},
    "hmac": {"type": "hmac", "format": "stripe", "secret": "canary-1"},
}  # fmt: skip


def pem(key: Any, password: bytes = b"") -> str:
    hidden = BestAvailableEncryption(password) if password else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden).decode())


P256 = ec.generate_private_key(ec.SECP256R1())


def spec(**fields: Any) -> ConsumerSpec:
    return ConsumerSpec.model_validate({"queueName": "q", "url": "https://erp.example/in"} | fields)


def changed(before: ConsumerSpec, **changes: Any) -> ConsumerSpec:
    return ConsumerSpec.model_validate(ConsumerChanges.model_validate({"name": "q"} | changes).applied_to(before))


def reason(**fields: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        spec(**fields)
    text = str(refused.value.errors(include_input=False))
    assert "canary" not in text
    return text


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client(authority: Authority) -> dict[str, str]:
    certificate, key = authority.sign("client")
    return {"certificate": certificate.read_text(), "key": key.read_text()}


@pytest.mark.parametrize("kind", SCHEMES)
def test_secrets_are_stored_and_shown_masked_and_masks_leave_them_as_they_are(kind: str) -> None:
    one = spec(auth=SCHEMES[kind])
    assert spec(auth=one.stored()["auth"]) == one
    assert "canary-1" in str(one.stored())
    shown = one.model_dump(by_alias=True, mode="json")["auth"]
    assert "canary" not in str(shown)
    assert MASK in str(shown)
    assert changed(one, auth=shown) == one
    assert "auth." in str(left_masked(spec(auth={k: v for k, v in shown.items() if v is not None}).stored()))
    assert redacted("you sent canary-1 and canary-1", one) == f"you sent {MASK} and {MASK}"


@pytest.mark.parametrize("kind", SCHEMES)
def test_secrets_do_not_follow_to_another_url(kind: str) -> None:
    one = spec(auth=SCHEMES[kind])
    shown = one.model_dump(by_alias=True, mode="json")["auth"]
    for change in ({}, {"auth": shown}):
        with pytest.raises(Invalid, match=r"another scheme, host or port\. Give auth again"):
            changed(one, url="https://thief.example/", **change)
    assert changed(one, url="https://thief.example/", auth=SCHEMES[kind]).auth == one.auth
    assert changed(one, url="https://thief.example/", auth=None).auth is None
    assert changed(one, url="https://erp.example/other").auth == one.auth


@pytest.mark.parametrize(
    "url", ["https://thief.example/token", "http://idp.example/token", "https://idp.example/other"]
)
@pytest.mark.parametrize("hidden", [{"clientSecret": MASK}, {"params": {"resource": MASK}}])
def test_secrets_do_not_follow_to_another_token_url(url: str, hidden: dict[str, Any]) -> None:
    one = spec(auth=OAUTH2)
    with pytest.raises(Invalid, match=r"^auth has another tokenUrl\. Give auth again") as refused:
        changed(one, auth=OAUTH2 | {"tokenUrl": url} | hidden)
    assert "canary" not in str(refused.value)
    assert changed(one, auth=OAUTH2 | {"tokenUrl": url}).stored()["auth"]["tokenUrl"] == url


def test_a_private_key_is_secret_too() -> None:
    signing = {"type": "oauth2", "tokenUrl": TOKEN_URL, "clientId": "me", "privateKey": pem(P256), "keyId": "1"}
    one = spec(auth=signing)
    shown = one.model_dump(by_alias=True, mode="json")["auth"]
    assert shown["privateKey"] == MASK
    assert changed(one, auth=shown) == one
    with pytest.raises(Invalid, match="auth"):
        changed(one, auth=shown | {"tokenUrl": "https://thief.example/"})


@pytest.mark.parametrize(
    ("auth", "why"),
    [
        ({"clientSecret": None}, "either clientSecret or privateKey"),
        ({"privateKey": pem(P256)}, "either clientSecret or privateKey"),
        ({"keyId": "1"}, "must not have keyId without privateKey"),
        ({"tokenUrl": "https://idp.example/token?key=canary"}, "must not contain a user name, query or placeholder"),
        ({"tokenUrl": "https://canary@idp.example/token"}, "must not contain a user name, query or placeholder"),
        ({"tokenUrl": "https://idp.example/{messageId}"}, "must not contain a user name, query or placeholder"),
        ({"tokenUrl": "ftp://idp.example/"}, "must start with http"),
        ({"params": {"client_secret": "canary", "scope": "canary"}}, "must not contain client_secret, scope"),
        ({"clientId": "a\r\nb"}, "pattern"),
        ({"scope": "a\nb"}, "pattern"),
        ({"clientSecret": None, "privateKey": "canary"}, "must be a private key in PEM form"),
        ({"clientSecret": None, "privateKey": pem(P256, b"canary")}, "must not be encrypted"),
        ({"clientSecret": None, "privateKey": pem(rsa.generate_private_key(65537, 1024))}, "2048 bits or more"),
        ({"clientSecret": None, "privateKey": pem(dsa.generate_private_key(1024))}, "must be an RSA key"),
        ({"clientSecret": None, "privateKey": pem(ec.generate_private_key(ec.SECP256K1()))}, "must be an RSA key"),
    ],
)
def test_oauth2_that_cannot_work_is_refused(auth: dict[str, Any], why: str) -> None:
    assert why in reason(auth=OAUTH2 | auth)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"auth": SCHEMES["apiKey"] | {"name": "Host"}}, "is reserved: the service sets it"),
        ({"auth": SCHEMES["apiKey"] | {"name": "webhook-id"}}, "is reserved: the service sets it"),
        ({"auth": SCHEMES["apiKey"] | {"name": "X Key"}}, "not a valid header name"),
        ({"auth": SCHEMES["apiKey"] | {"value": "canary\r\nX: y"}}, "printable ASCII"),
        ({"auth": SCHEMES["apiKey"], "headers": {"x-key": "canary"}}, "headers sets too"),
        ({"auth": SCHEMES["hmac"], "headers": {"stripe-signature": "canary"}}, "headers sets too"),
        ({"auth": SCHEMES["awsSigV4"], "headers": {"authorization": "canary"}}, "credentials are given twice"),
        ({"auth": OAUTH2, "url": "https://canary@erp.example/"}, "credentials are given twice"),
        ({"auth": SCHEMES["awsSigV4"] | {"region": "eu:west"}}, "pattern"),
        ({"tls": {"ca": "canary"}}, "must be certificates in PEM form"),
        ({"tls": {"key": "canary"}}, "must be a private key in PEM form"),
        ({"tls": {}}, "must have ca, or certificate and key"),
    ],
)
def test_invalid_combinations_of_auth_are_refused(fields: dict[str, Any], why: str) -> None:
    assert why in reason(**fields)


def test_an_api_key_in_the_query_and_a_signature_go_with_a_login() -> None:
    spec(auth=SCHEMES["apiKey"] | {"in": "query"}, headers={"Authorization": "Bearer x"})
    spec(auth=SCHEMES["hmac"], url="https://me@erp.example/")


def test_a_client_certificate_needs_its_own_key(authority: Authority, client: dict[str, str]) -> None:
    other = authority.sign("other")[1].read_text()
    assert "does not match" in reason(tls=client | {"key": other})
    for half in ("key", "certificate"):
        assert "both certificate and key" in reason(tls={half: client[half]})
    encrypted = authority.sign("encrypted", password=b"canary")
    assert "must not be encrypted" in reason(
        tls={"certificate": encrypted[0].read_text(), "key": encrypted[1].read_text()}
    )
    assert "https://" in reason(tls=client, url="http://erp.example/")


def test_the_key_of_a_client_certificate_is_secret(client: dict[str, str]) -> None:
    one = spec(tls=client)
    shown = one.model_dump(by_alias=True, mode="json")["tls"]
    assert shown == {"ca": None, "certificate": client["certificate"], "key": MASK}
    assert changed(one, tls=shown) == one
    assert left_masked(spec(tls={k: v for k, v in shown.items() if v}).stored()) == ["tls.key"]
    for change in ({}, {"tls": shown}):
        with pytest.raises(Invalid, match=r"another scheme, host or port\. Give tls again"):
            changed(one, url="https://thief.example/", **change)
    assert changed(one, url="https://thief.example/", tls=client).tls == one.tls


def test_a_mask_does_not_stand_for_the_key_of_another_certificate(authority: Authority, client: dict[str, str]) -> None:
    other = authority.sign("another")[0].read_text()
    with pytest.raises(ValidationError, match="does not match"):
        changed(spec(tls=client), tls={"certificate": other, "key": MASK})


def test_a_ca_alone_follows_a_url(authority: Authority) -> None:
    one = spec(tls={"ca": authority.certificate.read_text()})
    assert changed(one, url="https://other.example/").tls == one.tls


@pytest.mark.parametrize("part", ["certificate", "ca"])
def test_certificates_outside_their_dates_are_named(
    authority: Authority, client: dict[str, str], tmp_path: Path, part: str
) -> None:
    own = Authority(tmp_path / "own").certificate.read_text()
    tls = spec(tls=client if part == "certificate" else {"ca": own}).tls
    assert tls is not None
    now = datetime.now(UTC)
    assert tls.unusable(now) is None
    assert now < tls.expires_at <= now + timedelta(days=2)
    assert tls.unusable(tls.expires_at) == (f"tls.{part}", f"expired on {tls.expires_at:%Y-%m-%d %H:%M} UTC")
    assert "is not valid before" in str(tls.unusable(now - timedelta(days=3)))


def test_the_end_is_that_of_the_first_certificate_of_a_chain_and_of_the_last_authority(
    authority: Authority, make: Callable[[float], str]
) -> None:
    short, long = make(1), make(5)
    key = make.keys[short]  # type: ignore[attr-defined]
    tls = spec(tls={"certificate": short + long, "key": key, "ca": long + short}).tls
    assert tls is not None
    assert tls.expires_at - datetime.now(UTC) < timedelta(days=1)
    tls = spec(tls={"ca": long + short}).tls
    assert tls is not None
    assert tls.expires_at - datetime.now(UTC) > timedelta(days=4)


@pytest.fixture
def make(authority: Authority) -> Callable[[float], str]:
    """Makes certificates that end in so many days; `keys` has their keys."""

    def make(days: float) -> str:
        certificate, key = authority.sign(f"for-{days}", days=days)
        make.keys[certificate.read_text()] = key.read_text()  # type: ignore[attr-defined]
        return certificate.read_text()

    make.keys = {}  # type: ignore[attr-defined]
    return make
