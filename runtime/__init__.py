"""Infrastructure of every process: threads, logs, limits, and files that the processes of a host share."""
