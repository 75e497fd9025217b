"""Which network a reported address belongs to."""

from __future__ import annotations

import pytest

from domain.client_address import address_of, network_of


@pytest.mark.parametrize(
    ("reported", "address", "network"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:51234", "203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7", "203.0.113.7"),
        ("2001:DB8::1", "2001:db8::1", "2001:db8::/64"),
        ('"[2001:db8::ffff:0:0:1]:443"', "2001:db8::ffff:0:0:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("\x1b[2J", "unknown", "unknown"),
        ("_hidden", "unknown", "unknown"),
        ("203.0.113.7:1:2", "unknown", "unknown"),
        ("", "", ""),
    ],
)
def test_an_address_is_bare_and_a_network_is_what_one_holder_owns(reported: str, address: str, network: str) -> None:
    assert (address_of(reported), network_of(reported)) == (address, network)
