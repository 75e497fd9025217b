"""Sets up a libcurl handle for a target, checks each address with the target guard, and classifies libcurl's errors."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Protocol

import pycurl

from domain.outcome import ErrorClass
from gateway.http.curl_errors import ERRORS
from gateway.http.egress import EgressProxy
from gateway.http.endpoint import Endpoint, Option


class Client(Protocol):
    """The part of the HTTP client that transfers need."""

    connection_age: int
    connection_idle: int
    """whole seconds after which curl uses a connection no more: since it was opened, and since its last request"""

    def start(self, transfer: Transfer) -> None:
        """Pass a transfer to curl."""

    def abort(self, transfer: Transfer) -> None:
        """Take back a transfer that has not finished."""


class Origin(Protocol):
    """The part of a target that its transfers need."""

    client: Client
    endpoint: Endpoint
    options: tuple[Option, ...]
    """libcurl's options for all transfers"""
    proxy: EgressProxy | None
    guarded: bool

    def objection(self, address: str) -> str | None:
        """Return a sentence that says why the guard refuses an address; None if the address is allowed."""


class Transfer:
    """One curl handle, for one transfer at a time."""

    __slots__ = ("_connecting", "_objection", "_origin", "_ready", "_shortage", "curl")

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._objection: str | None = None  # the guard's reason for refusing the last address
        self._connecting = False  # whether the guard has allowed an address
        self._ready = False  # whether there is a connection for the request, perhaps through the proxy
        self._shortage = ""  # why the last socket could not be opened, if the target is not the cause
        self.curl = curl = pycurl.Curl()
        curl.owner = self
        endpoint = origin.endpoint
        curl.setopt(pycurl.URL, endpoint.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(endpoint.connect_timeout * 1000))
        for option, value in origin.options:
            curl.setopt(option, value)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._on_connect)
        if origin.guarded or origin.proxy is not None:
            curl.setopt(pycurl.PREREQFUNCTION, self._on_connected)

    def finished(self, code: int, text: str) -> Callable[[], None]:
        """Read the result of the transfer, while curl still has its connection. Return what to do then."""
        raise NotImplementedError

    def _start(self) -> None:
        self._objection, self._connecting, self._ready, self._shortage = None, False, False, ""
        self._origin.client.start(self)

    def _on_connect(self, _purpose: int, address: Any) -> socket.socket | int:
        """Open the socket of a connection, if the guard allows the address that the name has just resolved to."""
        self._objection = self._origin.objection(address.addr[0])
        if self._objection is not None:
            return int(pycurl.SOCKET_BAD)
        self._connecting, self._ready = True, False
        try:
            opened, self._shortage = _Lent(address.family, address.socktype, address.protocol), ""
            os.close(os.dup(opened.fileno()))  # curl will duplicate it, and would report a shortage as refused
        except OSError as exc:
            self._shortage = shortage_of(exc)
            return int(pycurl.SOCKET_BAD)
        return opened

    def _on_connected(self, address: str, _local: str, _port: int, _local_port: int) -> int:
        """Check the address before each request, because another consumer may have opened the connection."""
        self._objection = self._origin.objection(address)
        self._ready = True
        return int(pycurl.PREREQFUNC_OK if self._objection is None else pycurl.PREREQFUNC_ABORT)

    def _failure(self, code: int, text: str) -> tuple[ErrorClass, str]:
        """Return the class and the detail of an error: the guard, the service, the proxy or the target caused it."""
        error = ERRORS.get(code, ErrorClass.PROTOCOL)
        if self._objection is not None and (code == pycurl.E_ABORTED_BY_CALLBACK or not self._connecting):
            return ErrorClass.BLOCKED, self._objection
        shortage = self._shortage or (_shortage() if error is ErrorClass.DNS else "")
        if shortage or error is ErrorClass.INTERNAL:
            return unsent(shortage or text)
        proxy = None if self._ready else self._origin.proxy
        failure = proxy.failure(self.curl, code, text) if proxy else None
        return (ErrorClass.PROXY, failure) if failure else (error, text)


class _Lent(socket.socket):
    """A socket that closes itself when curl, which duplicates its descriptor, releases it."""

    __slots__ = ()

    def __del__(self) -> None:
        if self.fileno() >= 0:  # else it could not be opened, and has no fields to close
            self.close()


def unsent(reason: str) -> tuple[ErrorClass, str]:
    """Return the class and the detail of an error of the service."""
    return ErrorClass.INTERNAL, f"The service could not send the request: {reason}."


def shortage_of(error: OSError) -> str:
    """Return the reason if the process or the host has no more descriptors or memory, else an empty text."""
    return str(error) if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM) else ""


def _shortage() -> str:
    """Return why no socket can be opened now, which the resolver reports as an unknown name; empty if one can."""
    try:
        socket.socket().close()
    except OSError as exc:
        return shortage_of(exc)
    return ""
