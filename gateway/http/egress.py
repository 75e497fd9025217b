"""Egress of requests: whether they use an egress proxy, and which CA certificates they trust."""

from __future__ import annotations

from dataclasses import dataclass

import pycurl

from domain.target import Target
from gateway.http.curl_errors import E_PROXY, TLS_ERRORS
from gateway.http.endpoint import Option
from gateway.node_urls import place
from gateway.tls import TlsFiles

_SCHEMES = {"http": "http", "https": "https", "socks5": "socks5h"}
"""libcurl's names for the schemes of EGRESS_PROXY. With socks5h, the proxy resolves host names."""
_TARGET_FAILS = {502, 504}
"""Statuses of a proxy's answer to CONNECT by which the target failed, not the proxy (RFC 9110 §15.6.3 and §15.6.5)."""
_SOCKS_TARGET_FAILS = {19, 21, 22, 24}
"""The SOCKS replies by which the target failed (RFC 1928 §6): connection refused, host or network unreachable, TTL
expired. The numbers are libcurl's CURLPX codes (https://curl.se/libcurl/c/CURLINFO_PROXY_ERROR.html)."""


@dataclass(frozen=True, slots=True)
class EgressProxy:
    """A proxy for all requests to targets and token endpoints. `url` is in libcurl's form and contains the
    login."""

    url: str
    place: str
    """scheme, host and port, without the login"""
    socks: bool

    @classmethod
    def parse(cls, text: str) -> EgressProxy:
        """Parse `http://user:password@host:port`, `https://…` or `socks5://…`. Raises ValueError with a predicate
        ("must …") that does not contain the login."""
        scheme, separator, rest = text.partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in _SCHEMES:
            raise ValueError("must start with http://, https:// or socks5://")
        user_info, at, host = rest.removesuffix("/").rpartition("@")
        if (
            "@" in user_info
            or any(char in user_info + host for char in "/?#\\ ")
            or not rest.isascii()
            or not rest.isprintable()
        ):
            raise ValueError("must be scheme://user:password@host:port; percent-encode special characters of the login")
        target = Target.parse(scheme, host)
        where = place(target.host, target.port)
        return cls(f"{_SCHEMES[scheme]}://{user_info}{at}{where}", f"{scheme}://{where}", scheme == "socks5")

    def failure(self, curl: pycurl.Curl, code: int, text: str) -> str | None:
        """Return a sentence if the proxy caused the failure of a request. Return None if the target did: the proxy had
        connected to it, or reports that it cannot."""
        answered = curl.getinfo(pycurl.HTTP_CONNECTCODE)
        reached = answered // 100 == 2 or (self.socks and code in TLS_ERRORS)
        fails = answered in _TARGET_FAILS
        if self.socks and code == E_PROXY:
            fails = curl.getinfo(pycurl.PROXY_ERROR) in _SOCKS_TARGET_FAILS
        if reached or fails:
            return None
        refused = answered >= 400
        said = f"answered HTTP {answered}" if refused else f"failed ({text})"
        return f"The egress proxy {self.place} {said}, so nothing was sent to the target."


@dataclass(frozen=True, slots=True)
class Egress:
    """The egress of all requests. Threads may share it. `ca_file` is a PEM file of trusted CA certificates; empty for
    the system's."""

    proxy: EgressProxy | None = None
    ca_file: str = ""

    @property
    def options(self) -> list[Option]:
        """libcurl's options for every request. Proxy settings in the environment are ignored. All requests to a proxy
        use a tunnel, so that an answer of the proxy is never mistaken for the target's."""
        trusted = TlsFiles(ca=self.ca_file).trusted
        options: list[Option] = [(pycurl.CAINFO, trusted), (pycurl.PROXY, self.proxy.url if self.proxy else "")]
        if self.proxy:
            options += [(pycurl.NOPROXY, ""), (pycurl.HTTPPROXYTUNNEL, 1), (pycurl.PROXY_CAINFO, trusted)]
        return options


DIRECT = Egress()
