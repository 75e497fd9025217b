"""A small egress proxy: HTTP CONNECT (RFC 9110 §9.3.6) or SOCKS 5 (RFC 1928, RFC 1929), which misbehaves on request."""

from __future__ import annotations

import base64
import selectors
import socket
import socketserver
import ssl
import struct
from contextlib import suppress

from tests.support.serving import Serving

_HOSTS = {"target.test": "127.0.0.1"}
"""Names that only the proxy resolves."""


class EgressProxy(Serving):
    """Runs in threads. Any thread may set `answer` (a status, or a reply code of SOCKS, for every request; None: serve
    it), `hang` and `login`, and read `heads` (what came before the tunnels) and `tunnels`."""

    def __init__(self, *, socks: bool = False, tls: ssl.SSLContext | None = None, login: str = "") -> None:
        self.answer: int | None = None
        self.hang = False
        self.login = login
        self.heads: list[bytes] = []
        self.tunnels: list[tuple[str, int]] = []
        self._sockets: set[socket.socket] = set()
        owner = self

        class Serve(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                client = self.request
                owner._sockets.add(client)
                with suppress(OSError, EOFError):
                    client = tls.wrap_socket(client, server_side=True) if tls else client
                    (owner._socks if socks else owner._http)(client)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

        self.port = self._serve_by(Server(("127.0.0.1", 0), Serve))
        scheme = "socks5" if socks else "https" if tls else "http"
        self.url = f"{scheme}://{login + '@' if login else ''}127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Refuse connections from now on, and cut those that there are."""
        super().stop()
        self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        sockets, self._sockets = self._sockets, set()
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _http(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536) or _end()
        self.heads.append(head)
        if self.hang:
            client.recv(1)
            return
        wanted = base64.b64encode(self.login.encode())
        status = self.answer
        if status is None and self.login and b"Proxy-Authorization: Basic " + wanted not in head:
            status = 407
        method, place, _ = head.split(b" ", 2)
        if status is None and method != b"CONNECT":
            status = 405
        if status is not None:
            client.sendall(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return
        host, _, port = place.decode().rpartition(":")
        try:
            target = self._connect(host, int(port))
        except OSError:
            client.sendall(b"HTTP/1.1 502 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        _pipe(client, target)

    def _socks(self, client: socket.socket) -> None:
        _, count = _exactly(client, 2)
        methods = _exactly(client, count)
        method = 2 if self.login else 0
        client.sendall(bytes([5, method if method in methods else 255]))
        if self.login:
            _, length = _exactly(client, 2)
            user = _exactly(client, length)
            password = _exactly(client, _exactly(client, 1)[0])
            good = user + b":" + password == self.login.encode()
            client.sendall(bytes([1, 0 if good else 1]))
            if not good:
                return
        _, _, _, kind = _exactly(client, 4)
        address = _exactly(client, 4 if kind == 1 else _exactly(client, 1)[0])
        host = socket.inet_ntoa(address) if kind == 1 else address.decode()
        (port,) = struct.unpack("!H", _exactly(client, 2))
        self.heads.append(host.encode())
        if self.hang:
            client.recv(1)
            return
        code, target = self.answer, None
        if code is None:
            try:
                target, code = self._connect(host, port), 0
            except OSError:
                code = 5
        client.sendall(bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0]))
        if target is not None:
            _pipe(client, target)

    def _connect(self, host: str, port: int) -> socket.socket:
        target = socket.create_connection((_HOSTS.get(host, host), port), 5)
        self._sockets.add(target)
        self.tunnels.append((host, port))
        return target


def _end() -> bytes:
    raise EOFError


def _exactly(client: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        octets += client.recv(count - len(octets)) or _end()
    return octets


def _pipe(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes in both directions until one side ends."""
    with selectors.DefaultSelector() as waiting, one, other:
        waiting.register(one, selectors.EVENT_READ, other)
        waiting.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in waiting.select():
                source: socket.socket = key.fileobj  # type: ignore[assignment]
                octets = source.recv(65536)
                if not octets:
                    return
                key.data.sendall(octets)
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    key.data.sendall(source.recv(65536))
