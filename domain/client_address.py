"""The IP address of a client as a server or a proxy reports it, and the network that one holder controls."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_SITE = 64
"""Bits of an IPv6 address that the provider assigns; the holder chooses the others (RFC 6177, RFC 8981)."""


@lru_cache(maxsize=4096)
def address_of(reported: str) -> str:
    """Return the IP address without port, brackets and zone; "" for an empty string, "unknown" for other text."""
    found = _parsed(reported)
    return str(found) if found else "unknown" if reported else ""


def network_of(reported: str) -> str:
    """Return the network that one holder controls: the IPv4 address itself, or the /64 of an IPv6 address."""
    found = _parsed(reported)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> (128 - _SITE) << (128 - _SITE), _SITE)))
    return address_of(reported)


def _parsed(reported: str) -> IPv4Address | IPv6Address | None:
    """Parse an address with or without a port, such as `[2001:db8::1]:443` (RFC 7239 §6)."""
    text = reported.strip().strip('"')
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
