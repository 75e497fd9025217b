"""Which host a URL means, read as strictly as can be: what two parsers might read differently is refused."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

_AUTHORITY = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
"""RFC 1123 §2.1, and underscores, which containers have in their names."""
_PORT = re.compile(r"[0-9]{0,5}")
_TOO_LARGE = 1 << 32
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


def host_of(url: str) -> str:
    """The host in lower case, without brackets and without the dot at its end; letters beyond ASCII as `xn--…`.

    Raises ValueError with the rest of a sentence that begins with "The URL".
    """
    found = _AUTHORITY.match(url)
    if found is None:
        raise ValueError("must start with http:// or https://")
    authority = found[1]
    if "\\" in authority or authority.count("@") > 1 or not authority.isprintable():
        raise ValueError("names its host ambiguously: no backslash, second @ or control character, please")
    place = authority.rpartition("@")[2]
    if place.startswith("["):
        host, bracket, port = place[1:].partition("]")
        if not bracket or (port and not port.startswith(":")) or _ip6(host) is None:
            raise ValueError("must have an IPv6 address, without a zone, in its brackets")
        port = port[1:]
    else:
        host, _, port = place.partition(":")
    if not _PORT.fullmatch(port):
        raise ValueError("must have a number as its port")
    name = host if place.startswith("[") else normal_name(host)
    if name is None:
        raise ValueError(f"names a host that is neither a host name nor an address: {host!r}")
    return name.lower()


def literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host spells, in any of the ways that inet_aton(3) and libcurl read: `127.1`, `2130706433`,
    `0x7f.1`, `0177.0.0.1`. None for a name to be resolved."""
    if ":" in host:
        return _ip6(host)
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    *heads, last = [_number(part) for part in parts]
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        return None
    return IPv4Address(sum(head << 8 * (3 - place) for place, head in enumerate(heads)) + last)


def normal_name(host: str) -> str | None:
    """A host name or a spelling of an IPv4 address as resolvers see it; None when it is neither."""
    if not host.isascii():
        try:
            host = host.encode("idna").decode()  # RFC 3490: also makes ASCII of fullwidth digits and dots
        except UnicodeError:
            return None
    host = host.lower().removesuffix(".")
    if not _NAME.fullmatch(host):
        return None
    # What ends in a number is an address (https://url.spec.whatwg.org/#ends-in-a-number-checker), or is refused.
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and literal(host) is None:
        return None
    return host


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    if len(text) > 1 and text.startswith("0"):
        return int(text, 8) if not set(text) & {"8", "9"} else _TOO_LARGE  # 089 is no octal, and read in several ways
    return int(text)


def _ip6(text: str) -> IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address if isinstance(address, IPv6Address) and address.scope_id is None else None
