"""The plumbing of every process: threads, logs, limits, and what the processes of one host share."""
