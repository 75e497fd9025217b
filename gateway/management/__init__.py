"""The part of RabbitMQ's management HTTP API that the service uses
(https://www.rabbitmq.com/docs/http-api-reference)."""

from gateway.management.bindings import BindingGateway
from gateway.management.channels import ChannelGateway
from gateway.management.client import ManagementClient
from gateway.management.connections import ConnectionGateway
from gateway.management.dead_letters import DeadLetterGateway
from gateway.management.exchanges import ExchangeGateway
from gateway.management.policies import PolicyGateway
from gateway.management.queue_lookup import QueueLookup
from gateway.management.queues import QueueGateway

__all__ = [
    "BindingGateway",
    "ChannelGateway",
    "ConnectionGateway",
    "DeadLetterGateway",
    "ExchangeGateway",
    "ManagementClient",
    "PolicyGateway",
    "QueueGateway",
    "QueueLookup",
]
