"""A subset of RabbitMQ's management HTTP API (3.10): same paths, field names, statuses and error bodies.

Calls only the public face of `broker.server` and `broker.core`.
"""

from broker.management.server import ManagementApi, serve

__all__ = ["ManagementApi", "serve"]
