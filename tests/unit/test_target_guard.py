"""The addresses that targets may have: every spelling of a forbidden address is refused."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.target_guard import Guard
from domain.target import literal
from domain.url_template import UrlTemplate

CLOSED = Guard()

LOOPBACK = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F.1", "0177.0.0.1", "0x7f.0.0.0x1", "017700000001",
    "127.255.255.254", "127.0.0.1.", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]",
    "[64:ff9b::7f00:1]", "[::127.0.0.1]", "localhost", "LOCALHOST", "localhost.", "api.localhost",
    "localhost.localdomain", "①②⑦.⓪.⓪.①", "127。0。0。1", "\N{FULLWIDTH DIGIT ONE}27.0.0.1", "user@127.0.0.1",
    "example.com:80@127.0.0.1",
]  # fmt: skip
SPECIAL = [
    "0", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.8", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "192.88.99.1", "[::]", "[fe80::1]", "[fc00::1]", "[fd12::1]", "[fec0::1]", "[ff02::1]",
    "[2001:db8::1]", "[3fff::1]", "[2002:7f00:1::]", "[2001::1]", "[2001:2::1]", "[64:ff9b:1::1]", "[100::1]",
    "[5f00::1]", "[::ffff:0:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[4000::1]", "[8000::1]",
    "[fe80::1%25eth0]", "[fe80::1%eth0]",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "172.15.0.1", "172.32.0.1", "100.128.0.1", "[2606:4700::1]", "[64:ff9b::808:808]", "erp.example",
          "ERP.Example.", "my_service", "xn--mnchen-3ya.de", "user:pw@erp.example"]  # fmt: skip


def refusal(guard: Guard, url: str) -> str | None:
    """Why a consumer may not have this URL, if it may not."""
    try:
        return guard.check_target(UrlTemplate(url).target)
    except ValueError as exc:
        return str(exc)


@pytest.mark.parametrize("host", LOOPBACK + SPECIAL)
@pytest.mark.parametrize("url", ["http://{}/", "https://{}:8443/a?b", "HTTP://{}"])
def test_no_spelling_of_a_closed_address_is_let_through(host: str, url: str) -> None:
    assert refusal(CLOSED, url.format(host))


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_are_allowed(host: str) -> None:
    assert refusal(CLOSED, f"https://{host}:8443/a?b") is None


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1\\@erp.example/", "http://erp.example\\.local/", "http://a@b@erp.example/", "http://256.1.1.1/",
     "http://1.2.3.4.5/", "http://089.0.0.1/", "http://127%2e0.0.1/", "http://[127.0.0.1]/", "http://[::1/", "http://a..b",
     "http://-a.example/", "http://erp.example:http/", "http:erp.example", "ftp://erp.example/", "//erp.example/",
     "http:///path", "http://a\x00b/", "http://0x/", "http://[::1]x/", "gopher://127.0.0.1"],
)  # fmt: skip
def test_urls_that_parsers_may_read_differently_are_refused(url: str) -> None:
    assert refusal(CLOSED, url)


@given(st.ip_addresses(v=4))
def test_spellings_are_read_as_the_resolver_reads_them(address: ipaddress.IPv4Address) -> None:
    one, two, three, four = address.packed
    for spelling in (str(int(address)), hex(int(address)), f"0{int(address):o}", f"{one}.{int(address) % (1 << 24)}",
                     f"{one}.{two}.{three * 256 + four}", f"{one:#x}.{two}.0{three:o}.{four}"):  # fmt: skip
        assert literal(spelling) == address == ipaddress.IPv4Address(socket.inet_aton(spelling))


@given(st.ip_addresses())
def test_at_most_what_the_standard_library_takes_for_global_is_open(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if CLOSED.check_address(str(address)) is None and address not in ipaddress.ip_network("64:ff9b::/96"):
        assert getattr(address, "ipv4_mapped", None) or address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1%2", "169.254.169.254", "nonsense"])
def test_a_connection_to_a_closed_address_is_refused_whatever_name_led_to_it(address: str) -> None:
    assert CLOSED.check_address(address, "erp.example")
    assert CLOSED.check_address("93.184.215.14", "erp.example") is None


def test_the_refusal_says_what_the_address_is_and_which_setting_opens_it() -> None:
    sentence = refusal(CLOSED, "http://2130706433/")
    assert (
        sentence == "127.0.0.1 is a loopback address and not allowed as a target. To allow it, add it to TARGET_ALLOW."
    )


def test_allow_opens_networks_and_single_addresses_however_they_are_spelled() -> None:
    guard = Guard("127.0.0.0/8, ::1, 10.1.2.3")
    for host in ("127.0.0.1", "127.1", "[::ffff:127.0.0.1]", "[::1]", "10.1.2.3", "localhost"):
        assert refusal(guard, f"http://{host}/") is None, host
    assert refusal(guard, "http://10.1.2.4/")


def test_allow_opens_hosts_by_name_at_whatever_address_they_are() -> None:
    guard = Guard("erp.internal, *.svc.cluster.local")
    for host in ("erp.internal", "a.svc.cluster.local", "a.b.svc.cluster.local"):
        assert refusal(guard, f"http://{host.upper()}./") is None
        assert guard.check_address("10.0.0.1", host) is None
    for host in ("svc.cluster.local", "evil-erp.internal", "erp.internal.example", "xsvc.cluster.local"):
        assert guard.check_address("10.0.0.1", host)
    assert refusal(guard, "http://10.0.0.1/")


def test_deny_wins_over_allow() -> None:
    guard = Guard("10.0.0.0/8, erp.internal, localhost", "10.9.0.0/16, 8.8.8.8, *.evil.example, ::1")
    assert refusal(guard, "http://10.9.1.1/")
    assert refusal(guard, "http://[::ffff:10.9.1.1]/")
    assert refusal(guard, "http://8.8.8.8/")
    assert refusal(guard, "http://a.evil.example/")
    assert guard.check_address("1.1.1.1", "a.evil.example")
    assert guard.check_address("10.9.1.1", "erp.internal")
    assert guard.check_address("10.8.1.1", "erp.internal") is None
    assert guard.check_address("::1", "localhost")


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/99", "127.1", "http://erp.internal", "erp internal", "*", "*.", "a/b", "256.0.0.1"]
)
def test_nonsense_in_a_list_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="Allowed: a network") as refused:
        Guard(f"10.0.0.0/8,{entry}")
    assert repr(entry) in str(refused.value)
