"""The outside world: RabbitMQ, MongoDB and the targets. Their drivers' exceptions never leave this package."""
