"""Readers of queues for tests."""

from __future__ import annotations

from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.reading import QueueReader
from gateway.management import ManagementClient, QueueLookup
from tests.support.management import management_nodes
from tests.support.node import BrokerNode


def reader_of(broker: BrokerNode, nodes: BrokerNodes, publisher: PublisherThread) -> QueueReader:
    """A reader that connects to `nodes`, and asks the broker's management API."""
    url = broker.management_url.replace("http://", "http://guest:guest@")
    return QueueReader(nodes, publisher, QueueLookup(ManagementClient(management_nodes(url))))
