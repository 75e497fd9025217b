"""AMQP 0-9-1 with pika: connections that reconnect, confirmed publishing, the topology of retries and dead letters."""
