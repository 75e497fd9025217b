"""What the processes of a host count, and how Prometheus is told: prometheus_client stays in here."""
