"""How requests leave the service: directly or by an egress proxy, and which CA certificates they trust."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import certifi
import pycurl

from domain.target import Target
from gateway.http.endpoint import Option

_SCHEMES = {"http": "http", "https": "https", "socks5": "socks5h"}
"""The schemes of EGRESS_PROXY as libcurl writes them; socks5h leaves it to the proxy to resolve names."""
_PORTS = {"http": 80, "https": 443, "socks5": 1080}
E_PROXY = 97
"""libcurl's code, for which pycurl has no name."""
_TLS = {
    pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CERTPROBLEM, pycurl.E_SSL_CIPHER,
    pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR, pycurl.E_SSL_INVALIDCERTSTATUS,
}  # fmt: skip
_TARGET_FAILS = {502, 504}
"""A proxy's answers to CONNECT that say that the target, not the proxy, fails (RFC 9110 §15.6.3 and §15.6.5)."""
_SOCKS_TARGET_FAILS = {19, 21, 22, 24}
"""The same of SOCKS (RFC 1928 §6): connection refused, host or network unreachable, TTL expired, as libcurl's CURLPX_
codes (https://curl.se/libcurl/c/CURLINFO_PROXY_ERROR.html)."""


@dataclass(frozen=True, slots=True)
class EgressProxy:
    """A proxy for all requests to targets and token endpoints. `url` is libcurl's, with the login."""

    url: str
    place: str
    """scheme, host and port, without the login"""
    socks: bool

    @classmethod
    def parse(cls, text: str) -> EgressProxy:
        """Read `http://user:password@host:port`, `https://…` or `socks5://…`. Raises ValueError with the rest of a
        sentence, without the login."""
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
        target = Target.parse("https" if scheme == "https" else "http", host)
        port = target.port if urlsplit(f"//{host}").port else _PORTS[scheme]
        name = f"[{target.host}]" if ":" in target.host else target.host
        return cls(
            f"{_SCHEMES[scheme]}://{user_info}{at}{name}:{port}", f"{scheme}://{name}:{port}", scheme == "socks5"
        )

    @property
    def secret(self) -> str:
        """The password; empty when there is none."""
        return unquote(urlsplit(self.url).password or "")

    def failure(self, curl: pycurl.Curl, code: int, text: str) -> str | None:
        """Why the proxy is to blame for a request that could not be sent, in a sentence; None when the target is: the
        proxy had reached it, or says that it cannot."""
        answered = curl.getinfo(pycurl.HTTP_CONNECTCODE)
        reached = answered // 100 == 2 or (self.socks and code in _TLS)
        fails = answered in _TARGET_FAILS
        if self.socks and code == E_PROXY:
            fails = curl.getinfo(pycurl.PROXY_ERROR) in _SOCKS_TARGET_FAILS
        if reached or fails:
            return None
        refused = answered >= 400
        said = f"answers HTTP {answered}" if refused else f"failed ({text})"
        return f"The egress proxy {self.place} {said}, so nothing was sent to the target."


@dataclass(frozen=True, slots=True)
class Egress:
    """Shared by all threads. `ca_file` has the CA certificates that are trusted (PEM); empty: those of the system."""

    proxy: EgressProxy | None = None
    ca_file: str = ""

    @property
    def options(self) -> list[Option]:
        """libcurl's, for every request. Proxies of the environment are not used. All requests go through a tunnel, so
        that the proxy's own answers cannot be taken for the target's."""
        trusted = self.ca_file or _SYSTEM
        options: list[Option] = [(pycurl.CAINFO, trusted), (pycurl.PROXY, self.proxy.url if self.proxy else "")]
        if self.proxy:
            options += [(pycurl.NOPROXY, ""), (pycurl.HTTPPROXYTUNNEL, 1), (pycurl.PROXY_CAINFO, trusted)]
        return options


DIRECT = Egress()
_SYSTEM = ssl.get_default_verify_paths().cafile or certifi.where()
