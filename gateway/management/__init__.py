"""RabbitMQ's management HTTP API (https://www.rabbitmq.com/docs/http-api-reference), as far as the service needs it."""

from gateway.management.bindings import BindingGateway
from gateway.management.channels import ChannelGateway
from gateway.management.client import ManagementClient
from gateway.management.connections import ConnectionGateway
from gateway.management.dead_letters import DeadLetterGateway
from gateway.management.exchanges import ExchangeGateway
from gateway.management.queue_lookup import QueueLookup
from gateway.management.queues import QueueGateway

__all__ = [
    "BindingGateway",
    "ChannelGateway",
    "ConnectionGateway",
    "DeadLetterGateway",
    "ExchangeGateway",
    "ManagementClient",
    "QueueGateway",
    "QueueLookup",
]
