"""Parses URLs that name the nodes of a cluster, for AMQP and for the management API.

The format is `scheme://user:password@host1:port1,host2/path?query`, or one URL per node, separated by commas. No error
text quotes a user, a password, a host or a value: a password that is not percent-encoded can occur in any of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import unquote

ENCODE = (
    "Percent-encode reserved characters in the user and the password: "
    '"%" as %25, "/" as %2F, "?" as %3F, "#" as %23, "@" as %40'
)

_PARTS = re.compile(r"(?P<scheme>[^:/?#]+)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?")
"""RFC 3986, appendix B, without a fragment."""
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password, percent-decoded."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NodeUrl:
    """The URL of one node. `host`, `port` and `login` are None if the URL leaves them out; `path` and `query` are not
    decoded."""

    scheme: str
    login: Login | None
    host: str | None
    port: int | None
    path: str
    query: str


def parse_node_urls(text: str, schemes: Sequence[str]) -> tuple[NodeUrl, ...]:
    """Return the URL of each node in `text`, in order. Raises ValueError with a predicate that follows the name of the
    setting."""
    if " " in text.partition("?")[0] or not text.isprintable():
        raise ValueError("must not contain spaces or control characters; write a space in a password as %20")
    nodes: list[NodeUrl] = []
    for url in re.split(rf",(?=(?:{'|'.join(schemes)})://)", text, flags=re.IGNORECASE):
        nodes += _nodes_of(url, schemes)
    if len(nodes) > 1 and any(node.host is None for node in nodes):
        raise ValueError("must name a host on both sides of each comma")
    return tuple(nodes)


def place(host: str, port: int | None) -> str:
    """Return `host:port` as in a URL (RFC 3986 §3.2.2)."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def decoded(text: str) -> str:
    """Percent-decode `text`. Raises ValueError unless it is percent-encoded UTF-8."""
    if _STRAY_PERCENT.search(text):
        raise ValueError(f'has a "%" that does not start a percent-encoded character. {ENCODE}')
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has percent-encoded bytes that are not UTF-8") from None


def _nodes_of(url: str, schemes: Sequence[str]) -> list[NodeUrl]:
    usual = " or ".join(f"{scheme}://" for scheme in schemes)
    if "#" in url:
        raise ValueError(f'must not contain "#". {ENCODE}')
    parts = _PARTS.fullmatch(url)
    if parts is None or (scheme := parts["scheme"].lower()) not in schemes:
        raise ValueError(f"must start with {usual}")
    query = parts["query"] or ""
    if "@" in parts["path"] + query:
        raise ValueError(f'has an "@" after the first "/" or "?". {ENCODE}')
    userinfo, at, hosts = parts["authority"].rpartition("@")
    if re.search("@.*,", userinfo):
        raise ValueError(f"has a login before each host: write one before the first, or a URL for each node. {ENCODE}")
    login = _login(userinfo) if at else None
    return [NodeUrl(scheme, login, *_host(host), parts["path"], query) for host in hosts.split(",")]


def _login(userinfo: str) -> Login:
    user, colon, password = userinfo.partition(":")
    if not colon:
        raise ValueError("has a user without a password: write user:password@host")
    return Login(decoded(user), decoded(password))


def _host(text: str) -> tuple[str | None, int | None]:
    host, port = _split_port(text)
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError(f"has a port that is not a number from 1 to 65535. {ENCODE}")
    return (host.lower() or None), (None if port is None else int(port))


def _split_port(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        try:
            IPv6Address(host)
        except ValueError:
            raise ValueError("has brackets without an IPv6 address; write one as [::1]") from None
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("must have an IPv6 address in brackets and the port after them, as in [::1]:5672")
        return unquote(host), rest[1:] if rest else None  # a zone is written as %25eth0 (RFC 6874 §2)
    host, colon, port = text.partition(":")
    if ":" in port:
        raise ValueError(f"has more than one colon in a host: write an IPv6 address in brackets, as in [::1]. {ENCODE}")
    if host and not _NAME.fullmatch(host):
        raise ValueError(
            f"has a host with characters that a host name must not have; separate nodes by commas. {ENCODE}"
        )
    return host, port if colon else None
