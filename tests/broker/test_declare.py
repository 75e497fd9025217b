"""Declaring."""

from tests.support.node import BrokerNode


def test_a_queue_is_declared(broker: BrokerNode, unique_name: str) -> None:
    with broker.connect() as connection:
        assert connection.channel().queue_declare(unique_name).method.queue == unique_name
