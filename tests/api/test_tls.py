"""TLS with certificates of a private CA: RabbitMQ by AMQP and by its management API, and MongoDB."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from domain.errors import BrokerUnavailable
from gateway.amqp.nodes import BrokerNodes
from gateway.tls import TlsFiles
from tests.api.conftest import MakeApp
from tests.api.service import Service
from tests.support.certificates import Authority
from tests.support.processes import wait_until
from tests.support.programs import unavailable
from tests.support.proxy import Proxy
from tests.support.rabbitmq import NodeTls, RabbitNode
from tests.support.rabbitmq_programs import RABBITMQ, RABBITMQ4
from tests.support.server import running
from tests.support.store import StoreNode
from tests.support.target import Target

Files = tuple[Path, Path]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that no client trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Files:
    return authority.sign("client")


@pytest.fixture(scope="module", params=[RABBITMQ, RABBITMQ4], ids=lambda programs: programs.name)
def node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[RabbitNode]:
    """Yield a node that requires a client certificate of the authority."""
    if request.param.missing:
        unavailable(request.param.name.upper(), request.param.missing)
    tls = NodeTls(authority.certificate, *authority.sign("node"), client_certificates=True)
    with running(RabbitNode(tmp_path_factory.mktemp("tls"), request.param, tls=tls)) as one:
        yield one


def places(node: RabbitNode, host: str = "127.0.0.1") -> dict[str, str]:
    return {
        "rabbitmq_url": f"amqps://guest:guest@{host}:{node.tls_port}/",
        "rabbitmq_management_url": f"https://guest:guest@{host}:{node.tls_management_port}",
    }


def files(ca: Authority, shown: Files | None = None) -> dict[str, str]:
    certificate, key = shown or ("", "")
    return {
        "rabbitmq_ca_file": str(ca.certificate),
        "rabbitmq_client_cert_file": str(certificate),
        "rabbitmq_client_key_file": str(key),
    }


@pytest.fixture
def reasons(make_app: MakeApp) -> Callable[..., tuple[str, str]]:
    """Why broker and management API cannot be reached, as /health/ready says."""

    def read(**settings: str) -> tuple[str, str]:
        app = make_app(**settings)
        app.extensions["runtime"].start()
        web = app.test_client()

        def said() -> tuple[str, str] | None:
            checks = web.get("/health/ready").get_json()["dependencies"]
            broker, management = checks["broker"]["detail"], checks["management"]["detail"]
            return (broker, management) if "not connected" not in broker and "no answer" not in management else None

        return wait_until(said, 20, "the reasons")

    return read


def test_messages_go_all_the_way_with_a_private_ca_and_a_client_certificate(
    store: StoreNode, make_app: MakeApp, node: RabbitNode, authority: Authority, client: Files, target: Target
) -> None:
    settings = {**places(node), **files(authority, client), "mongo_uri": store.uri("tls"), "consumers": "inline"}
    service = Service(make_app(**settings))
    wait_until(lambda: service.get("/health/ready").status_code == 200, 20, "the service being ready")
    assert service.post("/createQueue", {"queueName": "tls"}).status_code == 201
    assert service.post("/createConsumer", {"queueName": "tls", "url": target.url("/ok")}).status_code == 201
    assert service.post("/messagePublish", {"queueName": "tls", "message": "x"}).status_code == 200
    wait_until(lambda: target.requests, 20, "the delivery")
    assert service.get("/getMessages").status_code == 405
    held = service.post("/getMessages", {"queueName": "tls", "count": 1})
    assert (held.status_code, held.json) == (200, []), "reading connects by itself"


def test_the_key_may_be_in_the_file_of_the_certificate(
    make_app: MakeApp, node: RabbitNode, authority: Authority, client: Files, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(client[0].read_bytes() + client[1].read_bytes())
    app = make_app(**places(node), **files(authority) | {"rabbitmq_client_cert_file": str(both)})
    app.extensions["runtime"].start()
    web = app.test_client()

    def up() -> bool:
        checks = web.get("/health/ready").get_json()["dependencies"]
        return all(checks[name]["up"] for name in ("broker", "management"))

    wait_until(up, 20, "broker and management API")


def test_an_unknown_ca_is_the_reason_and_the_setting_is_named(
    reasons: Callable[..., tuple[str, str]], node: RabbitNode, stranger: Authority, client: Files
) -> None:
    for known in (files(stranger, client), {}):
        for said in reasons(**places(node), **known):
            assert "certificate is not accepted: self-signed certificate in certificate chain" in said
            assert "name the CA that signed it in RABBITMQ_CA_FILE" in said
            assert "plugin" not in said, "which is another matter"


def test_another_host_name_is_the_reason(
    reasons: Callable[..., tuple[str, str]], node: RabbitNode, authority: Authority, client: Files
) -> None:
    for said in reasons(**places(node, "localhost"), **files(authority, client)):
        assert "Hostname mismatch, certificate is not valid for 'localhost'" in said
        assert "RABBITMQ_CA_FILE" not in said


def test_a_missing_or_unknown_client_certificate_is_the_reason(
    reasons: Callable[..., tuple[str, str]], node: RabbitNode, authority: Authority, stranger: Authority
) -> None:
    for shown in (None, stranger.sign("client")):
        for said in reasons(**places(node), **files(authority, shown)):
            assert "requires a client certificate or refuses ours" in said


def test_tls_on_a_plain_port_and_plain_text_on_a_tls_port_are_the_reason(
    reasons: Callable[..., tuple[str, str]], node: RabbitNode, authority: Authority, client: Files
) -> None:
    wrong = {
        "rabbitmq_url": f"amqps://guest:guest@127.0.0.1:{node.port}/",
        "rabbitmq_management_url": f"https://guest:guest@127.0.0.1:{node.management_port}",
    }
    for said in reasons(**wrong, **files(authority, client)):
        assert "its port does not speak TLS" in said
    plain = {
        "rabbitmq_url": f"amqp://guest:guest@127.0.0.1:{node.tls_port}/",
        "rabbitmq_management_url": f"http://guest:guest@127.0.0.1:{node.tls_management_port}",
    }
    broker, management = reasons(**plain)
    assert "expects amqps://" in broker
    assert "expects https://" in management


def test_a_wrong_password_is_the_reason_not_a_missing_tag(
    reasons: Callable[..., tuple[str, str]], node: RabbitNode
) -> None:
    broker, management = reasons(
        rabbitmq_url=f"amqp://guest:wrong@127.0.0.1:{node.port}/", rabbitmq_management_url=node.management_url
    )
    for said in (broker, management):
        assert "wrong user or password" in said
        assert "tag" not in said
        assert "permission" not in said


def test_reading_a_queue_says_why_its_connection_fails(node: RabbitNode, stranger: Authority) -> None:
    nodes = BrokerNodes.parse(places(node)["rabbitmq_url"], TlsFiles(str(stranger.certificate)))
    with pytest.raises(BrokerUnavailable, match=r"its certificate is not accepted: .* RABBITMQ_CA_FILE"):
        nodes.connect("test")


@pytest.fixture
def mongo_tls(store: StoreNode, authority: Authority) -> Iterator[Callable[..., Proxy]]:
    """MongoDB's protocol by TLS, on the store."""
    made: list[Proxy] = []

    def make(*hosts: x509.GeneralName, client_certificates: bool = False) -> Proxy:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
        context.load_cert_chain(*authority.sign("mongo", *hosts))
        context.verify_mode = ssl.CERT_REQUIRED if client_certificates else ssl.CERT_NONE
        made.append(Proxy(store.port, tls=context))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def store_check(make_app: MakeApp, uri: str) -> dict[str, Any]:
    web = make_app(mongo_uri=uri).test_client()

    def told() -> dict[str, Any] | None:
        check: dict[str, Any] = web.get("/health/ready").get_json()["dependencies"]["store"]
        return check if "no answer" not in (check["detail"] or "") else None

    return wait_until(told, 20, "what health says of the store")


def test_mongodb_with_a_private_ca_and_a_client_certificate(
    make_app: MakeApp, mongo_tls: Callable[..., Proxy], authority: Authority, client: Files, tmp_path: Path
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(client[0].read_bytes() + client[1].read_bytes())
    way = mongo_tls(client_certificates=True)
    options = f"tls=true&tlsCAFile={authority.certificate}&tlsCertificateKeyFile={both}"
    assert store_check(make_app, f"mongodb://127.0.0.1:{way.port}/tls?{options}")["up"]


def test_the_error_names_the_reason_of_a_failed_tls_handshake_with_mongodb(
    make_app: MakeApp, mongo_tls: Callable[..., Proxy], authority: Authority, stranger: Authority
) -> None:
    way, elsewhere = mongo_tls(), mongo_tls(x509.DNSName("mongo.example"))
    ca = f"tls=true&tlsCAFile={authority.certificate}"
    for port, options, reason in (
        (
            way.port,
            f"tls=true&tlsCAFile={stranger.certificate}",
            "name the CA that signed it in MONGO_URI, as tlsCAFile",
        ),
        (way.port, "tls=true", "name the CA that signed it in MONGO_URI, as tlsCAFile"),
        (elsewhere.port, ca, "IP address mismatch"),
    ):
        check = store_check(make_app, f"mongodb://127.0.0.1:{port}/tls?{options}")
        assert reason in check["detail"], check
