"""A consumer and its parts, all on the loop of their ConsumerThread."""
