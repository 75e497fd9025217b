"""Credentials of consumers: which parts of a URL, a header or a login are masked, and what a mask sent back means."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from domain.auth import BasicAuth, BearerAuth
from domain.consumer import ConsumerSpec
from domain.credentials import (
    carried_along,
    left_masked,
    masked_auth,
    masked_headers,
    masked_url,
    origin,
    redacted,
    unmasked_url,
)
from domain.model import MASK

HOST = "erp.example"
TOKEN = "canary0AAHdqTcvCH1vGWJx"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://{HOST}/in", f"https://{HOST}/in"),
        (f"https://user:canary@{HOST}/", f"https://{MASK}@{HOST}/"),
        (f"https://canary@{HOST}/", f"https://{MASK}@{HOST}/"),
        (f"https://canary:@{HOST}/", f"https://{MASK}@{HOST}/"),
        (f"https://:canary@{HOST}/", f"https://{MASK}@{HOST}/"),
        ("https://canary@[::1]:8443?a=canary", f"https://{MASK}@[::1]:8443?a={MASK}"),
        (f"https://{HOST}/in?api_key=canary", f"https://{HOST}/in?api_key={MASK}"),
        (f"https://{HOST}?token=canary&v=canary", f"https://{HOST}?token={MASK}&v={MASK}"),
        (f"https://{HOST}/?canary", f"https://{HOST}/?{MASK}"),
        (f"https://{HOST}/?a=1;token=canary", f"https://{HOST}/?a={MASK}"),
        (f"https://{HOST}/?t=canary=canary@x/y?z=canary", f"https://{HOST}/?t={MASK}"),
        (f"https://{HOST}/?a=&&b=canary", f"https://{HOST}/?a=&&b={MASK}"),
        (f"https://{HOST}/?t%6Fken=c%61nary", f"https://{HOST}/?t%6Fken={MASK}"),
        (f"https://{HOST}/?id={{messageId}}&t={{header:x-a}}", f"https://{HOST}/?id={{messageId}}&t={{header:x-a}}"),
        (f"https://{HOST}/?id=canary{{messageId}}", f"https://{HOST}/?id={MASK}"),
        (f"https://{HOST}/a@b?mail=canary@x", f"https://{HOST}/a@b?mail={MASK}"),
        (f"https://{HOST}/services/T0CAN/B0ARY/{TOKEN}", f"https://{HOST}/services/T0CAN/B0ARY/{MASK}"),
        (f"https://{HOST}/bot110201543:{TOKEN}/send?a=1", f"https://{HOST}/{MASK}/send?a={MASK}"),
        (f"https://{HOST}/{TOKEN}/x/{TOKEN[::-1]}/", f"https://{HOST}/{MASK}/x/{MASK}/"),
        (f"https://me@{HOST}/{TOKEN}/{{messageId}}", f"https://{MASK}@{HOST}/{MASK}/{{messageId}}"),
        (f"https://{HOST}/{{header:x-correlation-1234}}", f"https://{HOST}/{{header:x-correlation-1234}}"),
        (f"https://{HOST}/process-incoming-orders/v2", f"https://{HOST}/process-incoming-orders/v2"),
    ],
)
def test_user_info_tokens_in_the_path_and_values_of_the_query_are_masked_and_come_back(url: str, shown: str) -> None:
    assert masked_url(url) == shown
    assert masked_url(shown) == shown
    assert unmasked_url(shown, url) == url


def test_user_info_with_a_second_at_sign_is_masked_as_a_whole() -> None:
    """It is refused today; an earlier release may have stored it."""
    assert masked_url(f"https://a:b@canary@{HOST}/") == f"https://{MASK}@{HOST}/"


def test_masked_values_of_a_query_are_found_by_their_names() -> None:
    before = f"https://canary@{HOST}/in?a=1&b=2&a=3&canary"
    assert unmasked_url(f"https://{HOST}:443/v2?b={MASK}&c=x&a={MASK}", before) == f"https://{HOST}:443/v2?b=2&c=x&a=1"
    assert unmasked_url(f"https://{HOST}/?a=9&a={MASK}&{MASK}", before) == f"https://{HOST}/?a=9&a=3&canary"
    for elsewhere in (f"http://{HOST}/?a={MASK}", f"https://{HOST}:8443/?a={MASK}", f"https://x.example/?a={MASK}"):
        assert unmasked_url(elsewhere, before) == elsewhere


@pytest.mark.parametrize(
    "url",
    [
        f"https://{MASK}@{HOST}/",
        f"https://me:{MASK}@{HOST}/",
        f"https://{HOST}/x/{MASK}",
        f"https://{HOST}/?a={MASK}",
        f"https://{HOST}/?{MASK}",
    ],
)
def test_a_mask_that_stands_for_nothing_known_is_found(url: str) -> None:
    assert left_masked(ConsumerSpec(queue_name="q", url=url).stored()) == ["url"]
    assert unmasked_url(url, f"https://{HOST}/") == url


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Cookie",
        "X-Api-Key",
        "X-Pwd",
        "X-Pass",
        "X-PIN",
        "X-Access",
        "X-Bearer",
        "X-Hub-Hmac",
        "X-Security",
        "X-Tenant",
        "Apikey",
        "Sig",
        "Ocp-Apim-Subscription",
        "Custom",
    ],
)
def test_a_header_is_masked_whatever_it_is_called(name: str) -> None:
    assert masked_headers({name: "canary", name.lower(): "canary"}) == {name: MASK, name.lower(): MASK}


def test_harmless_headers_are_shown() -> None:
    shown = {"Content-Type": "text/plain", "ACCEPT": "*/*", "User-Agent": "x", "x-env": "prod"}
    assert masked_headers(shown) == shown


def test_a_header_does_not_follow_to_another_origin_whatever_it_is_called() -> None:
    before = ConsumerSpec(queue_name="q", url=f"https://{HOST}/", headers={"X-Pin": "canary", "Accept": "*/*"})
    after = before.stored() | {"url": "https://thief.example/"}
    assert carried_along(before, after, {}) == ["headers.X-Pin"]
    assert carried_along(before, after, {"headers": {"X-Pin": "canary"}}) == []


def test_a_user_name_without_a_password_is_the_credential() -> None:
    key = BasicAuth(type="basic", username="sk_live_canary", password=SecretStr(""))
    assert "canary" not in str(masked_auth(key))
    login = BasicAuth(type="basic", username="robot", password=SecretStr("canary"))
    assert masked_auth(login) == login
    assert masked_auth(None) is None


def test_an_answer_that_repeats_the_request_is_redacted() -> None:
    spec = ConsumerSpec(
        queue_name="q",
        url=f"https://{HOST}/in?key=canary%21one&v=1",
        headers={"X-Pin": "canary-two", "X-Env": "production"},
        auth=BearerAuth(type="bearer", token=SecretStr("canary-three")),
    )
    basic = spec.model_copy(
        update={"auth": BasicAuth(type="basic", username="robot", password=SecretStr("canary-four"))}
    )
    echo = "GET /in?key=canary%21one&v=1 key canary!one X-Pin: canary-two X-Env: production Bearer canary-three"
    assert redacted(echo, spec) == (f"GET /in?key={MASK}&v=1 key {MASK} X-Pin: {MASK} X-Env: production Bearer {MASK}")
    assert redacted("Basic cm9ib3Q6Y2FuYXJ5LWZvdXI= canary-four robot", basic) == f"Basic {MASK} {MASK} robot"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://erp.example/x", "https://erp.example"),
        ("HTTPS://ERP.example:443", "https://erp.example"),
        ("http://me@erp.example?x", "http://erp.example"),
        ("http://[::1]:81/", "http://[::1]:81"),
        ("http://127.1:081/", "http://127.0.0.1:81"),
        ("http://erp.example:99999/", "http://erp.example:99999/"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, expected: str) -> None:
    assert origin(url) == expected
