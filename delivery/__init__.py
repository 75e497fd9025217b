"""How a delivery is decided: pure functions and small state machines. No I/O, no clock, no randomness of their own."""
