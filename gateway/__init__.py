"""The outside world: RabbitMQ, MongoDB and the targets. The drivers' exceptions stay in here."""
