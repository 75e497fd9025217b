"""Decisions about deliveries: pure functions and small state machines. They use no I/O, no clock and no randomness."""
