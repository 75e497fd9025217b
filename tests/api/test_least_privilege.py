"""What docs/deploy asks of the RabbitMQ user is enough: the tag monitoring, and one virtual host."""

from __future__ import annotations

from tests.api.conftest import MakeApp
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.store import StoreNode


def test_a_user_who_monitors_one_vhost_is_enough_to_be_ready(
    make_app: MakeApp, broker: BrokerNode, store: StoreNode, unique_name: str
) -> None:
    name = unique_name[-20:]
    assert broker.management.put("vhosts", name).ok
    assert broker.management.put("users", name, body={"password": "secret", "tags": "monitoring"}).ok
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    assert broker.management.put("permissions", name, name, body=rights).ok

    app = make_app(
        mongo_uri=store.uri(name),
        rabbitmq_url=f"amqp://{name}:secret@127.0.0.1:{broker.port}/{name}",
        rabbitmq_management_url=broker.management_url,
    )
    app.extensions["runtime"].start()
    client = app.test_client()

    wait_until(lambda: client.get("/health/ready").status_code == 200, 20, "the service being ready")
