"""Parses the scheme, host and port of a URL strictly: it refuses an authority that two parsers might read
differently."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, Self

_PLACE = re.compile(r"(?:\[(?P<ip6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]*))?")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
"""Host names by RFC 1123 §2.1, and underscores, which names of containers contain."""
_PORTS = {"http": 80, "https": 443, "socks5": 1080}
_HIGHEST_PORT = 65535
_TOO_LARGE = 1 << 32
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


class Target(NamedTuple):
    """Scheme, host and port of a URL. `host` is in the form that resolvers use: lower case, no brackets, an address in
    its usual form; a name keeps its trailing dot. `address` is None for a name."""

    scheme: str
    host: str
    port: int
    address: IPv4Address | IPv6Address | None

    @classmethod
    def parse(cls, scheme: str, place: str) -> Self:
        """Parse `host` or `host:port`; `scheme` is http, https, or socks5 for a proxy. Raises ValueError with a
        predicate ("must have …")."""
        found = _PLACE.fullmatch(place)
        if found is None:
            raise ValueError("must have a numeric port, and brackets around an IPv6 address")
        ip6, name, digits = found["ip6"], found["name"], found["port"]
        port = int(digits) if digits else _PORTS[scheme]
        if not 0 < port <= _HIGHEST_PORT:
            raise ValueError(f"must have a port from 1 to {_HIGHEST_PORT}; this is {port}")
        if ip6 is not None:
            if (address := _ip6(ip6)) is None:
                raise ValueError("must have an IPv6 address, without a zone, in its brackets")
            return cls(scheme, str(address), port, address)
        if not name:
            raise ValueError("must name a host, for example https://example.com/path")
        host = normal_name(name)
        if host is None:
            raise ValueError(f"names a host that is neither a host name nor an address: {name!r}")
        if (ip4 := literal(host)) is not None:
            return cls(scheme, str(ip4), port, ip4)
        return cls(scheme, f"{host}." if name.endswith(".") else host, port, None)

    @property
    def place(self) -> str:
        """`host:port`, without a default port."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """`scheme://host:port`, without a default port (RFC 6454 §6.2)."""
        return f"{self.scheme}://{self.place}"


def literal(host: str) -> IPv4Address | None:
    """Return the IPv4 address that a host stands for, in any form that inet_aton(3) and libcurl accept: `127.1`,
    `2130706433`, `0x7f.1`, `0177.0.0.1`. Return None for a name."""
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    *heads, last = [_number(part) for part in parts]
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        return None
    return IPv4Address(sum(head << 8 * (3 - place) for place, head in enumerate(heads)) + last)


def normal_name(host: str) -> str | None:
    """Return a host name or IPv4 address in the form that resolvers use; None if it is neither."""
    if not host.isascii():
        try:
            host = host.encode("idna").decode()  # RFC 3490: also converts fullwidth digits and dots to ASCII
        except UnicodeError:
            return None
    host = host.lower().removesuffix(".")
    if not _NAME.fullmatch(host):
        return None
    # A host that ends in a number must be an address (https://url.spec.whatwg.org/#ends-in-a-number-checker).
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and literal(host) is None:
        return None
    return host


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    if len(text) > 1 and text.startswith("0"):
        return int(text, 8) if not set(text) & {"8", "9"} else _TOO_LARGE  # 089 is not octal; parsers differ
    return int(text)


def _ip6(text: str) -> IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address if isinstance(address, IPv6Address) and address.scope_id is None else None
