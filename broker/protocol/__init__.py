"""AMQP 0-9-1 on the wire, without I/O: bytes in, events out. Never blocks, sleeps, logs or looks at a queue."""
