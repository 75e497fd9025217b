"""URLs of consumers are read once, and have one form however they were written."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import SettingsError, load
from domain.consumer import ConsumerSpec
from domain.target import Target
from domain.url_template import UrlTemplate


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("HTTPS://ERP.Example/Orders?Q=A", "https://erp.example/Orders?Q=A"),
        ("hTtP://Me:Pw@erp.EXAMPLE.", "http://Me:Pw@erp.example."),
        ("http://erp.example:024100/", "http://erp.example:24100/"),
        ("http://erp.example:/", "http://erp.example/"),
        ("http://erp.example:080/", "http://erp.example/"),
        ("https://erp.example:443", "https://erp.example"),
        ("https://erp.example:80/", "https://erp.example:80/"),
        ("http://0x7f.1:8080/", "http://127.0.0.1:8080/"),
        ("http://[2001:DB8:0::1]:080/", "http://[2001:db8::1]/"),
        ("http://erp.example/a#", "http://erp.example/a"),
    ],
)
def test_scheme_host_and_port_have_one_form_and_the_rest_stays_as_it_is(written: str, form: str) -> None:
    spec = ConsumerSpec(queue_name="q", url=written)
    assert (spec.url, spec.stored()["url"]) == (form, form)
    assert UrlTemplate(spec.url) == spec.url


def test_it_knows_where_it_leads() -> None:
    assert UrlTemplate("HTTP://me@ERP.example/").target == Target("http", "erp.example", 80, None)
    assert UrlTemplate("https://[::1]:8443").target == Target("https", "::1", 8443, ip_address("::1"))
    assert UrlTemplate("https://[::1]:8443").target.origin == "https://[::1]:8443"
    assert UrlTemplate("https://me:pw@erp.example:443/{messageId}").target.origin == "https://erp.example"


@pytest.mark.parametrize("port", ["0", "00", "65536", "99999", "-1", "http", "8 0", "٨٠", "80:80"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(ValueError, match=r"port|ASCII"):
        UrlTemplate(f"http://erp.example:{port}/")


@given(st.text(st.sampled_from("hHtTpPsS:/.@[]?#{}%\\ 0127xüerp-_&=\t\0"), max_size=40), st.booleans())
def test_a_url_that_is_accepted_is_read_as_the_same_again(text: str, whole: bool) -> None:
    try:
        url = UrlTemplate(text if whole else f"HTTP://{text}")
    except ValueError:
        return
    again = UrlTemplate(url)
    assert (again, again.target, again.path, again.query) == (url, url.target, url.path, url.query)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [("http://erp.example:0/", "must have a port"), ("ftp://erp.example/", "http://"), ("http:///x", "a host")],
)
def test_a_default_target_url_that_is_none_ends_the_process_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, url: str, sentence: str
) -> None:
    monkeypatch.setenv("DEFAULT_TARGET_URL", url)
    with pytest.raises(SettingsError, match=f"DEFAULT_TARGET_URL must .*{sentence}|DEFAULT_TARGET_URL {sentence}"):
        load(_env_file=None)


def test_a_default_target_url_may_be_written_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFAULT_TARGET_URL", "HTTPS://ERP.example/orders")
    assert load(_env_file=None).default_target_url == "https://erp.example/orders"
