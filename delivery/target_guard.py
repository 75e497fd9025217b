"""Prevents server-side request forgery: no target may be in the network of this machine unless the operator allows it.

There are two checks. The check of the URL, when a consumer is created, gives its author immediate feedback. The check
of each connection's address decides, because a name may resolve to any address, and to another one later.
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
"""IANA's special-purpose address registries (RFC 6890), listed here because `ipaddress` of Python 3.11 treats several
of them as global. The last three networks cover all of IPv6 that is not global unicast (RFC 4291 §2.4). The first
network that contains an address names its kind."""

_CLOSED = [(ip_network(network), kind) for kind, networks in _SPECIAL.items() for network in networks.split()]
_NAT64 = IPv6Network("64:ff9b::/96")
"""NAT64 addresses. The last 32 bits are the IPv4 address (RFC 6052 §2.1), which the guard checks."""

_LOOPBACK_NAMES = re.compile(r"(.*\.)?localhost(\.localdomain)?\.?")
"""Names that resolve to a loopback address (RFC 6761 §6.3)."""


@dataclass(frozen=True)
class Rules:
    """A list of networks and host names; `suffixes` are entries such as `*.example.com`, without the star."""

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Rules:
        """Parse a list such as `10.0.0.0/8, ::1, erp.internal, *.svc.cluster.local`. Raises ValueError with a predicate
        ("has …") for an invalid entry."""
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
    """Decides by `deny` first, then `allow`, then the special networks. A host that `allow` names may have any address
    that `deny` does not include. Immutable, so threads may share it."""

    def __init__(self, allow: str = "", deny: str = "") -> None:
        """Take the values of TARGET_ALLOW and TARGET_DENY. Raises what `Rules.of` raises."""
        self._allow, self._deny = Rules.of(allow), Rules.of(deny)

    def check_target(self, target: Target) -> str | None:
        """Return a sentence that says why the target is not allowed; None if it is allowed, as far as this is known
        without resolving its name."""
        host = target.host
        if target.address is not None:
            return self.check_address(host)
        if self._deny.has_name(host):
            return f"{host} is not allowed as a target: TARGET_DENY lists it."
        if self._allow.has_name(host) or not _LOOPBACK_NAMES.fullmatch(host):
            return None
        first, second = self.check_address("127.0.0.1"), self.check_address("::1")
        return first if first and second else None

    def check_address(self, address: str, host: str = "") -> str | None:
        """Return a sentence that says why a connection to `address`, for the URL's `host`, is not allowed; None if it
        is."""
        try:
            whole = ip_address(address.partition("%")[0])
        except ValueError:
            return f"{address!r} is not an IP address."
        inner = _inner(whole)
        both = (whole, inner)
        if self._deny.has_name(host) or self._deny.has_any(both):
            return f"{host or address} is not allowed as a target: TARGET_DENY lists it."
        if self._allow.has_name(host) or self._allow.has_any(both):
            return None
        kind = next((kind for network, kind in _CLOSED if inner in network), None)
        if kind is None:
            return None
        return f"{address} is {kind} address and not allowed as a target. To allow it, add it to TARGET_ALLOW."


def _inner(address: Address) -> Address:
    """Return the IPv4 address that is embedded in an IPv6 address, or else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _pattern(entry: str) -> str:
    name = normal_name(entry.removeprefix("*."))
    if name is None or literal(name) is not None:
        raise ValueError(f"has {entry!r}. Allowed: a network (10.0.0.0/8), a host (erp.internal), *.domain")
    return f"*.{name}" if entry.startswith("*.") else name
