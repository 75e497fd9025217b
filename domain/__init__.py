"""What things are: queues, consumers, messages, outcomes and errors. Imports nothing of ours and no driver."""
