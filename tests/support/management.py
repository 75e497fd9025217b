"""RabbitMQ's management HTTP API for tests: any path, Basic auth, the whole response."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import requests

from gateway.amqp.nodes import BrokerNodes
from gateway.management.nodes import ManagementNodes

LOGIN = ("guest", "guest")
TIMEOUT = 15.0


def management_nodes(urls: str, virtual_host: str = "/") -> ManagementNodes:
    """Return the nodes in `urls`, parsed as the service does."""
    return ManagementNodes.parse(urls, BrokerNodes.parse(f"amqp://localhost/{quote(virtual_host, safe='')}"))


class Management:
    """Calls `/api/...` of one broker and returns the response, whatever its status."""

    def __init__(self, url: str, login: tuple[str, str] = LOGIN) -> None:
        self.url = url
        self._login = login

    def get(self, *path: str, **query: str | int) -> requests.Response:
        """Send GET /api/<path>, each part percent-encoded (the vhost "/" is written "/")."""
        return self.call("GET", *path, query=query)

    def put(self, *path: str, body: Any = None) -> requests.Response:
        """Send PUT /api/<path> with a JSON body."""
        return self.call("PUT", *path, body=body)

    def post(self, *path: str, body: Any = None) -> requests.Response:
        """Send POST /api/<path> with a JSON body."""
        return self.call("POST", *path, body=body)

    def delete(
        self, *path: str, query: dict[str, str | int] | None = None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        """Send DELETE /api/<path>."""
        return self.call("DELETE", *path, query=query, headers=headers)

    def call(
        self,
        method: str,
        *path: str,
        query: dict[str, str | int] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        """Send any request on a new connection, so that it works after a restart of the broker."""
        address = "/".join([self.url, "api", *(quote(part, safe="") for part in path)])
        data = None if body is None else json.dumps(body)
        named = {"content-type": "application/json"} | (headers or {})
        return requests.request(
            method, address, params=query, data=data, headers=named, auth=self._login, timeout=TIMEOUT
        )
