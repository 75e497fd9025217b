"""A consumer and its parts, all on the loop of the ConsumerThread that runs it."""
