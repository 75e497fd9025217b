"""Counters of a host's processes, and their export for Prometheus. Only this package uses prometheus_client."""
