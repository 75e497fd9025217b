"""Serves RabbitMQ's management HTTP API in the broker's event loop.

Connections are limited in number and handle one request at a time. Bodies are read only after authentication, and only
a few large ones at once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import inspect
import logging
import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from broker.errors import AmqpError
from broker.management import (
    bindings,
    connections,
    definitions,
    exchanges,
    health,
    messages,
    overview,
    policies,
    queues,
    topic_permissions,
    users,
    vhosts,
)
from broker.management.errors import ApiError, NotFound, from_amqp
from broker.management.http import MAX_HEAD, HttpError, Request, Response, read_head
from broker.management.rates import Rates
from broker.management.routing import Call, Routes

if TYPE_CHECKING:
    from broker.core.users import User
    from broker.server import Server

_MAX_CONNECTIONS = 128
_LARGE_BODY = 64 * 1024  # bytes from which a body counts as large
_MAX_LARGE_BODIES = 4

_RESOURCES = (bindings, connections, definitions, exchanges, health, messages, overview, policies, queues,
              topic_permissions, users, vhosts)  # fmt: skip

_log = logging.getLogger(__name__)


async def serve(server: Server, host: str, port: int) -> asyncio.Server:
    """Listen on host and port (0 picks a free one) and return the listener, which the caller closes. Raises OSError."""
    api = ManagementApi(server)
    listener = await asyncio.start_server(api.serve_client, host, port, limit=MAX_HEAD)
    api.addresses = [listening.getsockname()[:2] for listening in listener.sockets]
    return listener


class ManagementApi:
    """The management API's server. Belongs to the loop's thread, as the broker does."""

    def __init__(self, server: Server) -> None:
        self.addresses: list[tuple[str, int]] = []
        self._server, self._periods = server, server.periods
        self._node = f"workerrmq@{socket.gethostname()}"
        self._rates = Rates()
        self._open = 0
        self._large = asyncio.Semaphore(_MAX_LARGE_BODIES)
        self._routes = Routes()
        for resource in _RESOURCES:
            self._routes.include(resource.routes)

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it closes, is too slow, or sends something else than HTTP."""
        self._open += 1
        try:
            if self._open > _MAX_CONNECTIONS:
                writer.write(Response(503).encode(keep_alive=False))
            else:
                while await self._exchange(reader, writer):
                    pass
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client has closed or is too slow
        except asyncio.CancelledError:
            pass  # the broker stops; asyncio's streams of Python 3.11 log a cancelled client's traceback
        finally:
            self._open -= 1
            writer.close()
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(self._periods.patience):
                    await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request. Return whether another may follow."""
        try:
            async with asyncio.timeout(self._periods.patience):
                request = await read_head(reader)
            if request is None:
                return False
            response, keep_alive = await self._answer(request, reader, writer)
        except HttpError as error:
            response, keep_alive, request = Response(error.status), False, None
        head_only = request is not None and request.method == "HEAD"
        writer.write(response.encode(head_only, keep_alive))
        async with asyncio.timeout(self._periods.patience):
            await writer.drain()
        return keep_alive

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Response, bool]:
        length = request.length
        try:
            user = self._authenticate(request)
        except ApiError as error:  # an unauthenticated body is not read
            return _error_response(error), request.keep_alive and not length
        if length <= _LARGE_BODY:
            body = await self._body(request, reader, writer)
            return await self._respond(request, user, body), request.keep_alive
        async with self._large:
            body = await self._body(request, reader, writer)
            return await self._respond(request, user, body), request.keep_alive

    def _authenticate(self, request: Request) -> User:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            raise ApiError(401, "not_authorised", "")
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise ApiError(400, "bad_request", "Bad authorization header") from None
        user = self._server.core.authenticate(name, password)
        if user is None:
            raise ApiError(401, "not_authorized", "Login failed")
        return user

    async def _body(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        if request.headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async with asyncio.timeout(self._periods.patience):
            return await reader.readexactly(request.length)

    async def _respond(self, request: Request, user: User, body: bytes) -> Response:
        call = Call(self._server, user, request, body, time.time(), self._node, self._rates, self.addresses)
        try:
            result = await self._route(call)
        except AmqpError as error:
            return _error_response(from_amqp(error))
        except ApiError as error:
            return _error_response(error)
        except Exception:  # noqa: BLE001 - a bug in one answer must not end the broker
            _log.exception("management API: %s %a failed", request.method, "/".join(request.path))
            return Response(500)
        return result if isinstance(result, Response) else Response(200, result)

    async def _route(self, call: Call) -> Any:
        path = call.request.path
        while path and not path[-1]:
            path = path[:-1]
        if path in ((), ("api",)):
            return Response(200, b"WorkerRMQ's embedded broker: a subset of RabbitMQ's management HTTP API.\n")
        if path[0] != "api":
            raise NotFound
        by_method = self._routes.find(path[1:])
        method = "GET" if call.request.method == "HEAD" else call.request.method
        if method not in by_method:
            allowed = [*(["HEAD"] if "GET" in by_method else []), *by_method, "OPTIONS"]
            return Response(200 if method == "OPTIONS" else 405, headers={"allow": ", ".join(allowed)})
        route, parts = by_method[method]
        result = route.call(replace(call, parts=parts))
        if inspect.isawaitable(result):
            result = await result
        if method != "GET":
            await self._committed()
        return result

    async def _committed(self) -> None:
        """Wait until all changes so far are on disk. Raises ApiError (503) after a timeout."""
        committed = asyncio.Event()
        self._server.core.journal.on_commit(committed.set)
        try:
            async with asyncio.timeout(self._periods.commit):
                await committed.wait()
        except TimeoutError:
            raise ApiError(503, "service_unavailable", "The change could not be written to disk in time") from None


def _error_response(error: ApiError) -> Response:
    headers = {}
    if error.error == "not_authorized" or not error.reason:  # spelt with a z: not logged in
        headers["www-authenticate"] = 'Basic realm="RabbitMQ Management"'
    content = {"error": error.error, "reason": error.reason} if error.reason else None
    return Response(error.status, content, headers)
