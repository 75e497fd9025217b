"""Templates of payloads, rendered in a process of their own."""
