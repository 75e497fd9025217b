"""A target of requests: the guard's decisions about it, its credentials, and the transport of its requests.

Requests follow no redirects. They read an answer up to a limit, within the timeout. The target guard checks every
address before a socket is opened to it. With an egress proxy, which makes the connections, the guard sees only the URL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from delivery.request import Request
from delivery.target_guard import Guard
from gateway.http import transfer
from gateway.http.curl_requests import CurlRequests
from gateway.http.dial import Dials
from gateway.http.egress import Egress
from gateway.http.endpoint import Done, Endpoint
from gateway.http.oauth2 import Authorizer
from gateway.http.plain import PlainRequests
from gateway.http.pool import Pool
from gateway.loop import Loop

_KNOWN_ADDRESSES = 1000
"""Maximum number of cached decisions of the guard per target."""


class Client(transfer.Client, Protocol):
    """The part of the HTTP client that its targets need."""

    loop: Loop
    pool: Pool
    guard: Guard | None
    egress: Egress


class Target:
    """An endpoint, such as a consumer's target. Each call of `send` is one request."""

    def __init__(self, client: Client, endpoint: Endpoint, authorizer: Authorizer | None = None) -> None:
        self.client: transfer.Client = client
        self._guard, self.endpoint, self.proxy = client.guard, endpoint, client.egress.proxy
        self.guarded = self._guard is not None
        self.options = (*client.egress.options, *endpoint.options)
        self._authorizer = authorizer
        self._known: dict[str, str | None] = {}
        self._refusal = self._guard.check_target(endpoint.url.target) if self._guard else None
        self._requests: PlainRequests | CurlRequests
        if self.proxy is None and endpoint.plain:
            self._requests = PlainRequests(client.loop, client.pool, Dials(self), endpoint)
        else:
            self._requests = CurlRequests(self)

    @property
    def waits(self) -> bool:
        """Whether requests may wait for their credentials."""
        return self._authorizer is not None

    def send(
        self,
        headers: list[str],
        body: bytes,
        done: Done,
        url: str | None = None,
        wanted: Callable[[], bool] | None = None,
    ) -> None:
        """Send `body` with `Name: value` header lines. `done` is called exactly once, from the loop, with the answer.
        `url`, if given, has another path or query on the same host. If `wanted` returns false after the request has
        waited for its credentials, the request is dropped without `done`."""
        if self._authorizer is None:
            self._requests.send(headers, body, done, url)
            return

        def send(request: Request, answered: Done) -> None:
            if wanted is None or wanted():
                self.send_request(request, answered)

        self._authorizer.authorize(Request(headers, body, url), send, done)

    def send_request(self, request: Request, done: Done) -> None:
        """Send a request that is authorized, or needs not to be."""
        self._requests.send(request.headers, request.body, done, request.url)

    def objection(self, address: str) -> str | None:
        """Return a sentence that says why the guard refuses an address; None if the address is allowed."""
        if self._refusal or self._guard is None or self.proxy is not None:  # the address is the proxy's
            return self._refusal
        if address not in self._known:
            if len(self._known) >= _KNOWN_ADDRESSES:
                self._known.clear()
            self._known[address] = self._guard.check_address(address, self.endpoint.url.target.host)
        return self._known[address]
