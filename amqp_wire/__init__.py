"""AMQP 0-9-1 on the wire: field tables, message properties, frames. The gateway and the broker share it. It imports
neither, does no I/O and keeps no state."""
