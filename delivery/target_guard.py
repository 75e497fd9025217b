"""Which targets this service may call, against server-side request forgery: none that only this machine or its network
can reach, unless the operator opens it.

Two looks are taken: at the URL when a consumer is created, so that a person learns of it at once; and at the address
of every connection, which is what counts, because a name may resolve to anything and to something else tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from domain.target import Target, literal, normal_name

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_SPECIAL = {
    "a loopback": "127.0.0.0/8 ::1/128",
    "a private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
    "a link-local": "169.254.0.0/16 fe80::/10",
    "a carrier's internal": "100.64.0.0/10",
    "an unspecified": "0.0.0.0/8 ::/128",
    "a multicast": "224.0.0.0/4 ff00::/8",
    "a documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
    "a benchmarking": "198.18.0.0/15 2001:2::/48",
    "a tunnel's": "192.88.99.0/24 2001::/32 2002::/16 ::/96 ::ffff:0:0:0/96 64:ff9b:1::/48",
    "a reserved": "192.0.0.0/24 240.0.0.0/4 100::/64 2001::/23 5f00::/16 ::/3 4000::/2 8000::/1",
}
"""IANA's special-purpose address registries (RFC 6890) by hand: `ipaddress` of Python 3.11 takes several of them for
global. The last three are all of IPv6 that is not global unicast (RFC 4291 §2.4); the first that fits names it."""

_CLOSED = [(ip_network(network), kind) for kind, networks in _SPECIAL.items() for network in networks.split()]
_NAT64 = IPv6Network("64:ff9b::/96")
"""Stands for the IPv4 address in its last 32 bits (RFC 6052 §2.1), so that one decides."""

_LOOPBACK_NAMES = re.compile(r"(.*\.)?localhost(\.localdomain)?\.?")
"""RFC 6761 §6.3."""


@dataclass(frozen=True)
class Rules:
    """Networks, and hosts by name; `suffixes` are `*.example.com` without the star."""

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Rules:
        """From a list such as `10.0.0.0/8, ::1, erp.internal, *.svc.cluster.local`. Raises ValueError."""
        networks: list[Network] = []
        names: list[str] = []
        for entry in filter(None, (part.strip() for part in text.split(","))):
            try:
                networks.append(ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                names.append(_pattern(entry))
        suffixes = tuple(name[1:] for name in names if name.startswith("*"))
        return cls(tuple(networks), frozenset(names), suffixes)

    def has_name(self, host: str) -> bool:
        name = host.removesuffix(".")
        return name in self.names or (bool(name) and name.endswith(self.suffixes))

    def has_any(self, addresses: Iterable[Address]) -> bool:
        return any(address in network for address in addresses for network in self.networks)


class Guard:
    """`deny` wins over `allow`, and `allow` over what is closed by default. A host that `allow` names may be at any
    address that `deny` does not name. Immutable, so that threads may share it."""

    def __init__(self, allow: str = "", deny: str = "") -> None:
        """Lists as TARGET_ALLOW and TARGET_DENY have them. Raises ValueError with a sentence for nonsense."""
        self._allow, self._deny = Rules.of(allow), Rules.of(deny)

    def check_target(self, target: Target) -> str | None:
        """Why a consumer may not have this target, in a sentence; None when it may, as far as can be told without
        resolving its name."""
        host = target.host
        if target.address is not None:
            return self.check_address(host)
        if self._deny.has_name(host):
            return f"{host} is closed to targets by TARGET_DENY."
        if self._allow.has_name(host) or not _LOOPBACK_NAMES.fullmatch(host):
            return None
        first, second = self.check_address("127.0.0.1"), self.check_address("::1")
        return first if first and second else None

    def check_address(self, address: str, host: str = "") -> str | None:
        """Why no connection to `address` may be made for the URL's `host`, in a sentence; None when it may."""
        try:
            whole = ip_address(address.partition("%")[0])
        except ValueError:
            return f"{address!r} is no IP address."
        inner = _inner(whole)
        both = (whole, inner)
        if self._deny.has_name(host) or self._deny.has_any(both):
            return f"{host or address} is closed to targets by TARGET_DENY."
        if self._allow.has_name(host) or self._allow.has_any(both):
            return None
        kind = next((kind for network, kind in _CLOSED if inner in network), None)
        if kind is None:
            return None
        return f"{address} is {kind} address, which no target may have unless TARGET_ALLOW lists it."


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _pattern(entry: str) -> str:
    name = normal_name(entry.removeprefix("*."))
    if name is None or literal(name) is not None:
        raise ValueError(f"has {entry!r}, which is no network (10.0.0.0/8), host (erp.internal) or *.domain")
    return f"*.{name}" if entry.startswith("*.") else name
