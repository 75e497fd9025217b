"""What the API says it is: clients decide by RabbitMQ's version what they may ask for."""

PRODUCT = "WorkerRMQ"
RABBITMQ_VERSION = "3.10.8"
