"""One client of the broker: protocol events to core operations, and the core's notifications to frames."""
