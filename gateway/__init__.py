"""Adapters to RabbitMQ, MongoDB and the targets. No exception of a driver leaves this package."""
