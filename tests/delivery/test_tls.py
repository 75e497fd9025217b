"""TLS with targets: CA certificates and client certificates of one consumer, checked by nginx."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pika.adapters.blocking_connection import BlockingChannel

from domain.outcome import Answer, ErrorClass
from gateway.http.egress import Egress
from tests.delivery.client import Client
from tests.delivery.running import Consumers
from tests.support.amqp import publish, wait_ready
from tests.support.certificates import Authority
from tests.support.processes import Process, free_port, wait_until
from tests.support.programs import require

pytestmark = pytest.mark.broker_independent

_CONFIG = """
{user} worker_processes 1; daemon off; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s; ssl_session_cache shared:s:1m; ssl_session_tickets on;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {place}/server.pem; ssl_certificate_key {place}/server.key;
    ssl_client_certificate {place}/clients.pem; ssl_verify_client optional; ssl_verify_depth 3;
    location / {{ if ($ssl_client_verify != SUCCESS) {{ return 403; }} return 200 $ssl_client_s_dn; }}
    location /open {{ return 200 "$ssl_client_s_dn"; }}
  }}
}}
"""


class MutualTls:
    """nginx that asks for client certificates, and names who has shown one; and the two authorities in question."""

    def __init__(self, place: Path) -> None:
        self.servers, self.clients = Authority(place, "servers"), Authority(place, "clients")
        self.servers.sign("server")
        self.port, self.place = free_port(), place
        self.url = f"https://127.0.0.1:{self.port}/"
        user = "user root;" if os.geteuid() == 0 else ""
        (place / "nginx.conf").write_text(_CONFIG.format(place=place, port=self.port, user=user))
        program = require("NGINX", "nginx")
        self.process = Process([program, "-c", str(place / "nginx.conf"), "-p", str(place)], place / "log")
        self.process.start()
        self.process.wait_ready(self._listens, 60)

    def _listens(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def ca(self) -> str:
        return self.servers.certificate.read_text()

    def client(self, name: str, **fields: Any) -> dict[str, str]:
        certificate, key = self.clients.sign(name, **fields)
        return {"ca": self.ca, "certificate": certificate.read_text(), "key": key.read_text()}


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MutualTls]:
    one = MutualTls(tmp_path_factory.mktemp("mutual-tls"))
    yield one
    one.process.stop()


@pytest.fixture
def post() -> Iterator[Callable[..., Answer]]:
    """Sends each request by a new consumer; all requests share one pool of connections."""
    clients: dict[str, Client] = {}

    def post(url: str, ca_file: str = "", **fields: Any) -> Answer:
        client = clients.setdefault(ca_file, Client(egress=Egress(None, ca_file)))
        return client.post(url, reply=True, **fields)

    yield post
    for client in clients.values():
        client.close()


def test_each_consumer_shows_its_own_certificate_on_connections_of_its_own(
    post: Callable[..., Answer], nginx: MutualTls
) -> None:
    alice, bob = nginx.client("alice"), nginx.client("bob")
    for _ in range(3):  # sessions and connections of one must not serve another
        assert (post(nginx.url, tls=alice).status, post(nginx.url, tls=alice).body) == (200, b"CN=alice")
        assert post(nginx.url, tls=bob).body == b"CN=bob"
        assert post(nginx.url, tls={"ca": nginx.ca}).status == 403


def test_a_target_of_another_authority_is_not_trusted(post: Callable[..., Answer], nginx: MutualTls) -> None:
    assert post(nginx.url).error is ErrorClass.TLS
    other = nginx.clients.certificate.read_text()
    assert post(nginx.url, tls={"ca": other}).error is ErrorClass.TLS
    assert post(nginx.url + "open", tls={"ca": nginx.ca}).status == 200
    assert post(nginx.url, tls={"ca": other}).error is ErrorClass.TLS, "though there is a connection"
    assert post(nginx.url.replace("127.0.0.1", "localhost"), tls={"ca": nginx.ca}).error is ErrorClass.TLS, "the name"


def test_the_file_of_all_targets_is_trusted_and_a_consumers_own_ca_replaces_it(
    post: Callable[..., Answer], nginx: MutualTls
) -> None:
    file = str(nginx.servers.certificate)
    assert post(nginx.url + "open", file).status == 200
    assert post(nginx.url, file, tls={"ca": nginx.clients.certificate.read_text()}).error is ErrorClass.TLS
    alice = nginx.client("alice")
    del alice["ca"]
    assert post(nginx.url, file, tls=alice).body == b"CN=alice"


def test_deliveries_show_the_certificate_and_a_new_one_after_a_change(
    consumers: Consumers, channel: BlockingChannel, queue: str, nginx: MutualTls
) -> None:
    channel.queue_declare(f"{queue}-replies")
    for number, name in enumerate(("alice", "bob"), 1):
        consumers.deliver(queue, nginx.url, tls=nginx.client(name), reply=True)
        publish(channel, queue, b"body", reply_to=f"{queue}-replies")
        wait_until(lambda number=number: (one := consumers.report(queue)) and one.delivered == number)
        _, _, body = channel.basic_get(f"{queue}-replies", auto_ack=True)
        assert body == f"CN={name}".encode()


def test_a_certificate_that_expires_suspends_the_consumer_and_no_message_is_charged(
    consumers: Consumers, channel: BlockingChannel, queue: str, nginx: MutualTls
) -> None:
    tls = nginx.client("mayfly", days=8 / 86400)
    consumers.deliver(queue, nginx.url + "open", tls=tls, reply=True)
    publish(channel, queue, b"first")
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 1, 20)
    end = consumers.spec(queue).tls
    assert end is not None
    wait_until(lambda: datetime.now(UTC) >= end.expires_at)
    publish(channel, queue, *"123")
    report = consumers.wait(queue, "suspended")
    assert str(report.reason).startswith("A certificate of `tls` expired on ")
    assert (report.retried, report.dead_lettered) == (0, 0)
    wait_ready(channel, queue, 3)
    consumers.deliver(queue, nginx.url, tls=nginx.client("alice"))
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 4)


def test_a_key_that_libcurl_cannot_use_suspends(
    consumers: Consumers, channel: BlockingChannel, queue: str, nginx: MutualTls
) -> None:
    tls = nginx.client("weak", key=rsa.generate_private_key(65537, 1024))
    publish(channel, queue, b"body")
    consumers.run(queue, nginx.url, tls=tls)
    report = consumers.wait(queue, "suspended")
    assert "certificate" in str(report.reason)
    assert (report.retried, report.dead_lettered) == (0, 0)
