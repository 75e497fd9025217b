"""The nodes of the broker, parsed once from RABBITMQ_URL."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError

from domain.errors import BrokerUnavailable
from gateway.amqp.connect_errors import of_all_nodes, reason_of
from gateway.amqp.pika_private import blocking_connection
from gateway.node_urls import Login, NodeUrl, decoded, parse_node_urls, place
from gateway.tls import TlsFiles

PARAMETERS: Mapping[str, str] = {
    "blocked_connection_timeout": "a number of seconds",
    "channel_max": "a whole number from 1 to 65535",
    "client_properties": "a Python dict",
    "connection_attempts": "a whole number from 1",
    "frame_max": "a whole number from 4096 to 131072",
    "heartbeat": "a whole number of seconds from 0 to 65535",
    "locale": "a locale, such as en_US",
    "retry_delay": "a number of seconds",
    "socket_timeout": "a number of seconds above 0",
    "ssl_options": "a Python dict of files and options that can be loaded, such as {'ca_certs': '/etc/ssl/ca.pem'}",
    "stack_timeout": "a number of seconds above 0",
    "tcp_options": "a Python dict of numbers, such as {'TCP_USER_TIMEOUT': 1000}",
}
"""Parameters that a URL's query may set (https://pika.readthedocs.io/en/stable/modules/parameters.html), with the type
of each."""

_UNUSABLE = (ValueError, TypeError, SyntaxError, AttributeError, LookupError, OSError, MemoryError, RecursionError)
"""All exceptions that pika raises for a URL: it evaluates Python literals and loads files of certificates."""

_LARGEST_SHORT = 65535
_GUEST = Login("guest", "guest")
_NO_FILES = TlsFiles()


@dataclass(frozen=True, slots=True)
class BrokerNodes:
    """The nodes to connect to: pika's parameters and the login of each, all for one virtual host."""

    nodes: tuple[pika.URLParameters, ...]
    logins: tuple[Login, ...]

    @classmethod
    def parse(
        cls, text: str, tls: TlsFiles = _NO_FILES, *, connect: float = 3.0, handshake: float = 10.0
    ) -> BrokerNodes:
        """Parse `amqp[s]://user:password@host:port,host:port/vhost?parameters`, or such URLs separated by commas
        (https://www.rabbitmq.com/docs/uri-spec). Raises ValueError with a predicate that follows the setting's name.

        The virtual host is the path after its first slash, percent-decoded. An empty path means `/`; so does `//`,
        which users of Celery write. The default login is guest's, the default host is localhost. `tls` applies to
        amqps:// without `ssl_options`.

        Unless the URL sets other timeouts, a node has `connect` seconds for TCP (Linux sends the second SYN after one,
        RFC 6298 §2), and `handshake` seconds for TCP, TLS and AMQP together, or half of that if there are more nodes.
        """
        urls = parse_node_urls(text, ("amqp", "amqps"))
        virtual_hosts = {_virtual_host(url.path) for url in urls}
        if len(virtual_hosts) > 1:
            raise ValueError("must have the same virtual host in all URLs")
        (virtual_host,) = virtual_hosts
        handshake = handshake / 2 if len(urls) > 1 else handshake
        nodes = tuple(_parameters(url, virtual_host, connect, handshake) for url in urls)
        if any(url.scheme == "amqps" for url in urls):
            context = tls.context()
            for url, node in zip(urls, nodes, strict=True):
                if url.scheme == "amqps" and "ssl_options" not in dict(parse_qsl(url.query)):
                    node.ssl_options = pika.SSLOptions(context)
        return cls(nodes, tuple(url.login or _GUEST for url in urls))

    @property
    def virtual_host(self) -> str:
        """The virtual host, for AMQP and for the management API."""
        return str(self.nodes[0].virtual_host)

    def shuffled(self, name: str, heartbeat: int | None = None) -> list[pika.URLParameters]:
        """Return all nodes in random order, for connections called `name`. `heartbeat` (seconds) applies unless the URL
        has one. The parameters are copies, because pika changes them while it connects.
        """
        nodes = [copy(node) for node in random.sample(self.nodes, len(self.nodes))]
        for node in nodes:
            node.client_properties = {"connection_name": name, "product": "WorkerRMQ"}
            if node.heartbeat is None:
                node.heartbeat = heartbeat
        return nodes

    def connect(self, name: str, heartbeat: int | None = None) -> pika.BlockingConnection:
        """Open a connection to the first node that accepts one; `name` and `heartbeat` as for `shuffled`. Raises
        BrokerUnavailable with the reason of each node."""
        reasons: dict[str, str] = {}
        for node in self.shuffled(name, heartbeat):
            try:
                return blocking_connection(node)
            except (AMQPError, AMQPConnectorException, OSError) as exc:
                reasons[place(node.host, node.port)] = reason_of(exc)
        why = of_all_nodes(reasons, len(self.nodes))
        raise BrokerUnavailable(f"The broker cannot be reached: {why}.", retry_after=5)


def _virtual_host(path: str) -> str:
    if "," in path:
        raise ValueError("has a comma in its virtual host: put all hosts before the path, or write the comma as %2C")
    return decoded(path[1:]) or "/"


def _parameters(url: NodeUrl, virtual_host: str, connect: float, handshake: float) -> pika.URLParameters:
    query = _query(url.query)
    login = url.login or _GUEST
    userinfo = f"{quote(login.user, safe='')}:{quote(login.password, safe='')}"
    where = place(url.host or "localhost", url.port)
    try:
        node = pika.URLParameters(
            f"{url.scheme}://{userinfo}@{where}/{quote(virtual_host, safe='')}?{urlencode(query)}"
        )
    except _UNUSABLE:  # pika's error may quote a part of a password
        raise ValueError("must look like amqp://user:password@host:5672/vhost") from None
    node.connection_attempts = 1  # the next attempt goes to another node
    if "socket_timeout" not in query:
        node.socket_timeout = connect
    if "stack_timeout" not in query:
        node.stack_timeout = max(node.socket_timeout, handshake)
    return node


def _query(text: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name not in PARAMETERS:
            called = f' "{name}"' if name.isidentifier() and len(name) < 40 else ""
            raise ValueError(f"has an unknown parameter{called}. Allowed: {', '.join(PARAMETERS)}")
        if name in parameters:
            raise ValueError(f'has the parameter "{name}" twice')
        if not _usable(name, value):
            raise ValueError(f'has a parameter "{name}" that is not {PARAMETERS[name]}')
        parameters[name] = value
    return parameters


def _usable(name: str, value: str) -> bool:
    """Return whether pika and the broker accept the parameter's value."""
    try:
        read: Any = getattr(pika.URLParameters(f"amqps://localhost?{urlencode({name: value})}"), name)
    except _UNUSABLE:
        return False
    if name == "tcp_options":
        return isinstance(read, dict) and all(type(option) is int for option in read.values())
    if name == "client_properties":
        return isinstance(read, dict)
    if isinstance(read, int | float):
        return math.isfinite(read) and (name not in {"heartbeat", "channel_max"} or read <= _LARGEST_SHORT)
    return bool(value)
