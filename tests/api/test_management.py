"""The client of RabbitMQ's management API: what it reads, and what it makes of every refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from domain.errors import BrokerUnavailable, Conflict, Invalid, Locked, NotFound, PreconditionFailed
from domain.queue import QueueSpec
from domain.selection import Selection
from gateway.management import ConnectionGateway, ManagementClient, QueueGateway
from tests.conftest import BROKERS
from tests.support.embedded import EmbeddedNode
from tests.support.management import management_nodes
from tests.support.node import BrokerNode
from tests.support.processes import free_port, wait_until
from tests.support.proxy import Proxy

AWKWARD = ["with space", "a/b", "100%", "a%2Fb", "what?x=1#y", "Übergröße", "x'y\"z", "...", "a+b&c=d", "-", "x" * 255]


def client(broker: BrokerNode, login: str = "guest:guest", vhost: str = "/") -> ManagementClient:
    return ManagementClient(management_nodes(broker.management_url.replace("://", f"://{login}@"), vhost))


@pytest.fixture
def queues(broker: BrokerNode) -> QueueGateway:
    return QueueGateway(client(broker))


@pytest.mark.parametrize("name", AWKWARD)
def test_a_queue_of_any_name_is_made_found_purged_and_deleted(queues: QueueGateway, name: str) -> None:
    assert queues.declare(QueueSpec(queue_name=name))
    assert not queues.declare(QueueSpec(queue_name=name)), "declared again, it is not new"
    assert queues.get(name).queue_name == name
    queues.purge(name)
    queues.delete(name)
    with pytest.raises(NotFound) as refused:
        queues.get(name)
    assert refused.value.code == "queue_not_found"


@pytest.mark.parametrize("broker", BROKERS, indirect=True)
def test_a_request_that_was_refused_does_not_cost_the_next_one_its_answer(broker: BrokerNode) -> None:
    """RabbitMQ 4.0 refuses some before it has read their bodies."""
    management = client(broker)
    look = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    for _ in range(100):
        with pytest.raises(NotFound):
            management.call("POST", "queues", "/", "nowhere", "get", subject="queue", name="nowhere", body=look)


@pytest.mark.broker_independent
@pytest.mark.parametrize("name", [".", ".."])
def test_names_that_change_the_path_of_a_request_are_refused(queues: QueueGateway, name: str) -> None:
    with pytest.raises(Invalid, match="Choose another name"):
        queues.delete(name)


def test_a_clash_says_which_property_differs_what_it_is_and_what_was_wanted(queues: QueueGateway) -> None:
    queues.declare(QueueSpec(queue_name="clash", message_ttl=1000))
    with pytest.raises(Conflict, match="with messageTtl 1000; you asked for 2000") as refused:
        queues.declare(QueueSpec(queue_name="clash", message_ttl=2000))
    assert refused.value.fields == (("messageTtl", "is 1000; you asked for 2000"),)
    with pytest.raises(Conflict, match="with messageTtl 1000; you asked for none"):
        queues.declare(QueueSpec(queue_name="clash"))
    with pytest.raises(Conflict, match="with durable true; you asked for false"):
        queues.declare(QueueSpec(queue_name="clash", durable=False, message_ttl=1000))


def test_an_argument_that_the_broker_refuses_is_a_clients_error(queues: QueueGateway) -> None:
    with pytest.raises(Invalid, match="messageTtl"):
        queues.declare(QueueSpec(queue_name="odd", arguments={"x-message-ttl": "soon"}))


def test_an_exclusive_queue_of_another_connection_is_locked(broker: BrokerNode, queues: QueueGateway) -> None:
    with broker.connect() as connection:
        name = connection.channel().queue_declare("", exclusive=True).method.queue
        for use in (queues.purge, queues.delete):
            with pytest.raises(Locked, match="exclusive to another connection"):
                use(name)


def test_conditions_of_a_delete_are_kept(broker: BrokerNode, queues: QueueGateway) -> None:
    queues.declare(QueueSpec(queue_name="kept"))
    with broker.connect() as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", "kept", b"one")
        wait_until(lambda: queues.get("kept").messages == 1)
        with pytest.raises(PreconditionFailed) as refused:
            queues.delete("kept", if_empty=True)
        assert refused.value.code == "queue_not_empty"
        channel.basic_consume("kept", lambda *_: None)
        with pytest.raises(PreconditionFailed) as refused:
            queues.delete("kept", if_unused=True)
        assert refused.value.code == "queue_in_use"
    queues.delete("kept")


def test_pages_are_cut_by_the_broker_and_one_past_the_end_is_empty(queues: QueueGateway) -> None:
    for name in ("b2", "b1", "a1", "b3"):
        queues.declare(QueueSpec(queue_name=name))
    assert [queue.queue_name for queue in queues.page(Selection(1, 3)).items] == ["a1", "b1", "b2"]
    second = queues.page(Selection(2, 3))
    assert ([queue.queue_name for queue in second.items], second.total) == (["b3"], 4)
    of_b = queues.page(Selection(1, 2, "b"))
    assert ([queue.queue_name for queue in of_b.items], of_b.total) == (["b1", "b2"], 3)
    beyond = queues.page(Selection(9, 3))
    assert (beyond.items, beyond.total) == ([], 4)


def test_a_connection_is_seen_with_its_client_and_closed_with_a_reason(broker: BrokerNode) -> None:
    connections = ConnectionGateway(client(broker))
    with broker.connect(client_properties={"connection_name": "till 7"}) as open_one:
        open_one.channel()
        seen = wait_until(lambda: [one for one in connections.all() if one.connection_name and one.channels == 1])[0]
        assert (seen.connection_name, seen.user, seen.tls) == ("till 7", "guest", False)
        assert seen.peer.startswith("127.0.0.1:")
        connections.close(seen.connection_id, "moved to another house")
        with pytest.raises(Exception, match="moved to another house"):
            open_one.process_data_events(5)
    with pytest.raises(NotFound) as refused:
        connections.close("nobody", "")
    assert refused.value.code == "connection_not_found"


def test_a_login_that_rabbitmq_refuses_is_ours_to_mend_and_is_not_shown(broker: BrokerNode) -> None:
    with pytest.raises(BrokerUnavailable, match="RABBITMQ_URL") as refused:
        QueueGateway(client(broker, "guest:canary-5ec3e7")).page(Selection())
    assert refused.value.code == "broker_access_refused"
    assert "canary" not in refused.value.detail


def test_a_login_with_awkward_characters_is_sent_as_it_is(broker: BrokerNode) -> None:
    password = "pä:ss/w@rd %"
    broker.management.put("users", "odd user", body={"password": password, "tags": "administrator"})
    broker.management.put(
        "permissions", "/", "odd user", body={"configure": ".*", "write": ".*", "read": ".*"}
    )  # fmt: skip
    assert QueueGateway(client(broker, "odd%20user:p%C3%A4%3Ass%2Fw%40rd%20%25")).page(Selection()).total == 0


def test_a_missing_virtual_host_is_a_setting_to_change(broker: BrokerNode) -> None:
    with pytest.raises(BrokerUnavailable, match="no virtual host 'elsewhere'"):
        QueueGateway(client(broker, vhost="elsewhere")).page(Selection())


def test_nothing_is_missing_where_all_is_missing(broker: BrokerNode) -> None:
    """As in the seconds in which RabbitMQ stops, it finds nothing in a virtual host that is not there."""
    queues = QueueGateway(client(broker, vhost="elsewhere"))
    spec = QueueSpec(queue_name="q")
    for ask in (lambda: queues.get("q"), lambda: queues.declare(spec), lambda: queues.delete("q")):
        with pytest.raises(BrokerUnavailable, match="no virtual host 'elsewhere'"):
            ask()


def test_a_refused_connection_names_the_address_without_the_login() -> None:
    port = free_port()
    with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{port} cannot be reached") as refused:
        QueueGateway(ManagementClient(management_nodes(f"http://me:canary@127.0.0.1:{port}"))).page(Selection())
    assert "canary" not in refused.value.detail


@pytest.fixture
def impostor() -> Iterator[Callable[[int, bytes], str]]:
    """An HTTP server that is no management API: the URL of one that gives this answer to everything."""
    servers: list[HTTPServer] = []

    def answering(status: int, body: bytes) -> str:
        class Same(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        server = HTTPServer(("127.0.0.1", 0), Same)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://guest:guest@127.0.0.1:{server.server_port}"

    yield answering
    for server in servers:
        server.shutdown()
        server.server_close()


def test_another_node_is_asked_when_one_fails_and_the_one_that_answers_is_asked_from_then_on(
    embedded: EmbeddedNode, impostor: Callable[[int, bytes], str], proxy: Callable[[int], Proxy]
) -> None:
    silent = proxy(embedded.management_port)
    silent.drop = True
    stopping = impostor(503, b'{"error": "service unavailable"}')
    good = f"http://guest:guest@127.0.0.1:{embedded.management_port}"
    urls = [f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{silent.port}", stopping, good]
    for _ in range(4):  # each client has a different order
        nodes = management_nodes(",".join(urls))
        queues = QueueGateway(ManagementClient(nodes, connect_seconds=0.2, read_seconds=1.8))
        before = silent.accepted
        for _ in range(5):
            assert queues.page(Selection()).total == 0
            assert queues.declare(QueueSpec(queue_name="q")) in (True, False)
            queues.delete("q")
        assert silent.accepted <= before + 1


def test_a_change_that_a_node_may_have_made_is_not_repeated_on_another_node(
    embedded: EmbeddedNode, proxy: Callable[[int], Proxy]
) -> None:
    silent = [proxy(embedded.management_port) for _ in range(3)]
    for one in silent:
        one.drop = True
    urls = ",".join(f"http://127.0.0.1:{one.port}" for one in silent)
    client = ManagementClient(management_nodes(urls), connect_seconds=0.2, read_seconds=0.4)

    with pytest.raises(BrokerUnavailable, match="does not answer in time"):
        client.call("POST", "queues", "/", "q", "get", subject="queue", body={})
    assert sum(one.accepted for one in silent) == 1
    with pytest.raises(BrokerUnavailable, match="does not answer in time"):
        client.get("queues", "/", subject="virtual host")
    assert sum(one.accepted for one in silent) == 4


def test_a_change_that_a_node_did_not_receive_is_sent_to_the_next_node(embedded: EmbeddedNode) -> None:
    good = f"http://127.0.0.1:{embedded.management_port}"
    for _ in range(4):
        client = ManagementClient(management_nodes(f"http://127.0.0.1:{free_port()},http://127.0.0.1:1,{good}"))
        embedded.management.put("queues", "/", "q", body={})
        QueueGateway(client).delete("q")


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>hello</html>"), (404, b"nothing here"), (302, b""), (502, b"{}"), (404, b"[]")]
)
def test_a_server_that_is_not_rabbitmq_is_not_taken_for_one(
    impostor: Callable[[int, bytes], str], status: int, body: bytes
) -> None:
    with pytest.raises(BrokerUnavailable):
        QueueGateway(ManagementClient(management_nodes(impostor(status, body)))).page(Selection())
