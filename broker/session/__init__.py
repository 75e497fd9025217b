"""One client of the broker: what its protocol events mean to the core, and what the core's news mean on the wire."""
