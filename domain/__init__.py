"""Models of queues, consumers, messages, outcomes and errors. Imports no other package of ours and no driver."""
