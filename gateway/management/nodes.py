"""The nodes of RabbitMQ's management API, parsed once from RABBITMQ_MANAGEMENT_URL and RABBITMQ_URL."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.amqp.nodes import BrokerNodes
from gateway.node_urls import Login, decoded, parse_node_urls, place
from gateway.tls import TlsFiles

_PORTS = {"http": 15672, "https": 15671}
"""Default ports (https://www.rabbitmq.com/docs/management#configuration)."""
_NO_FILES = TlsFiles()


@dataclass(frozen=True, slots=True)
class ManagementNode:
    """One node: its URL without login and `/api`, its `host:port` for error texts, and its login."""

    url: str
    place: str
    login: Login = field(repr=False)


@dataclass(frozen=True, slots=True)
class ManagementNodes:
    """All nodes, the virtual host to manage, and the files for https://."""

    nodes: tuple[ManagementNode, ...]
    virtual_host: str
    tls: TlsFiles = _NO_FILES

    @classmethod
    def parse(cls, text: str, broker: BrokerNodes, tls: TlsFiles = _NO_FILES) -> ManagementNodes:
        """Parse `http[s]://user:password@host:port,host:port/path`, or such URLs separated by commas. If `text` is
        empty, use the broker's hosts: on port 15672, or, for amqps://, with https:// on port 15671, so that the
        password is never sent in plain text. The default login is the broker's.

        Raises ValueError with a predicate that follows the setting's name.
        """
        found: dict[str, ManagementNode] = {}
        if not text:
            for node, login in zip(broker.nodes, broker.logins, strict=True):
                scheme = "https" if node.ssl_options else "http"
                where = place(node.host, _PORTS[scheme])
                found.setdefault(where, ManagementNode(f"{scheme}://{where}", where, login))
            return cls(tuple(found.values()), broker.virtual_host, tls)
        for url in parse_node_urls(text, ("http", "https")):
            if url.host is None:
                raise ValueError("must name a host, as in http://127.0.0.1:15672")
            if url.query or "," in url.path:
                raise ValueError("must have no parameters and no comma in its path; put all hosts before the path")
            decoded(url.path)  # raises ValueError if it is malformed
            where = place(url.host, url.port)
            base = f"{url.scheme}://{where}{url.path.rstrip('/')}"
            found.setdefault(base, ManagementNode(base, where, url.login or broker.logins[0]))
        return cls(tuple(found.values()), broker.virtual_host, tls)
