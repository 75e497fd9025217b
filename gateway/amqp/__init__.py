"""AMQP 0-9-1 by pika: connections that heal, confirmed publishing, the topology of retries and dead letters."""
