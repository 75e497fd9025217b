"""The product and version that the API reports. Clients choose their requests by RabbitMQ's version."""

PRODUCT = "WorkerRMQ"
RABBITMQ_VERSION = "3.10.8"
