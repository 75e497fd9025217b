"""Third-party clients of the management API, unchanged, on both brokers."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import pytest
from amqpstorm.management.api import ManagementApi

from tests.support.node import BrokerNode
from tests.support.programs import require

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its docstrings contain invalid escapes
    from pyrabbit2 import Client  # type: ignore[import-untyped]
    from pyrabbit2.http import HTTPError  # type: ignore[import-untyped]


@pytest.fixture
def rabbitmqadmin() -> str:
    """Return the path of RabbitMQ's command-line tool."""
    return require("RABBITMQ", "rabbitmqadmin")


def test_rabbitmqadmin_declares_publishes_gets_and_deletes(
    broker: BrokerNode, rabbitmqadmin: str, tmp_path: Path
) -> None:
    def admin(command: str) -> str:
        line = [rabbitmqadmin, "-P", str(broker.management_port), "-f", "tsv", *command.split()]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    for kind in ("nodes", "vhosts", "users", "permissions", "connections", "channels", "consumers", "policies"):
        admin(f"list {kind}")
    assert "rabbitmq_version" in admin("show overview")
    admin("declare queue name=q durable=true")
    admin("declare exchange name=x type=topic")
    admin("declare binding source=x destination=q routing_key=a.#")
    assert "Message published" in admin("publish exchange=x routing_key=a.b payload=hello")
    assert "hello" in admin("get queue=q ackmode=ack_requeue_true")
    admin("purge queue name=q")
    admin("declare vhost name=v")
    admin("declare user name=u password=p tags=management")
    admin("declare permission vhost=v user=u configure=.* write=.* read=.*")
    admin(f"export {tmp_path}/definitions.json")
    admin("delete exchange name=x")
    admin("delete queue name=q")
    admin(f"import {tmp_path}/definitions.json")
    assert "q\tx" in admin("list bindings destination source")
    admin("delete permission vhost=v user=u")
    admin("delete user name=u")
    admin("delete vhost name=v")


def test_pyrabbit_works(broker: BrokerNode) -> None:
    client = Client(f"127.0.0.1:{broker.management_port}", "guest", "guest", timeout=30)
    assert client.is_alive()
    assert client.get_whoami()["name"] == "guest"
    assert client.get_vhost_names() == ["/"]
    client.create_vhost("v")
    client.set_vhost_permissions("v", "guest", ".*", ".*", ".*")
    client.create_queue("v", "q", durable=True)
    client.create_exchange("v", "x", "topic")
    client.create_binding("v", "x", "q", "a.*")
    assert client.publish("v", "x", "a.b", "hello") is True
    assert [one["routing_key"] for one in client.get_queue_bindings("v", "q")] == ["q", "a.*"]
    assert client.get_queue("v", "q")["name"] == "q"
    assert [one["name"] for one in client.get_queues("v")] == ["q"]
    client.purge_queue("v", "q")
    client.delete_binding("v", "x", "q", "a.*")
    client.delete_exchange("v", "x")
    client.delete_queue("v", "q")
    with pytest.raises(HTTPError) as missing:
        client.get_queue("v", "q")
    assert missing.value.status == 404
    client.create_user("u", "secret", tags="monitoring")
    assert "u" in {one["name"] for one in client.get_users()}
    client.delete_user("u")
    client.delete_vhost("v")
    assert client.get_connections() == client.get_channels() == []


def test_amqpstorms_management_client_works(broker: BrokerNode) -> None:
    with ManagementApi(broker.management_url, "guest", "guest", timeout=30) as api:
        assert api.aliveness_test("/")["status"] == "ok"
        assert api.whoami()["name"] == "guest"
        assert api.node(api.nodes()[0]["name"])["running"] is True
        assert api.healthchecks.get() == {"status": "ok"}
        api.queue.declare("q", durable=True, arguments={"x-max-length": 5})
        api.exchange.declare("x", "fanout")
        api.queue.bind("q", "x", "k")
        assert api.basic.publish("hello", "", exchange="x") == {"routed": True}
        message = api.basic.get("q", requeue=True, to_dict=True)[0]
        assert isinstance(message, dict)
        assert message["payload"] == "hello"
        assert {one["source"] for one in api.queue.bindings("q")} == {"", "x"}
        assert {one["name"] for one in api.queue.list()} >= {"q"}
        api.queue.purge("q")
        api.queue.unbind("q", "x", "k")
        api.exchange.delete("x")
        api.queue.delete("q")
        api.virtual_host.create("v")
        api.user.create("u", "secret", tags="")
        api.user.set_permission("u", "v")
        assert api.user.get_permission("u", "v")["read"] == ".*"
        api.user.delete("u")
        api.virtual_host.delete("v")
        assert api.connection.list() == api.channel.list() == []
