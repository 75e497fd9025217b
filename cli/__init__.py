"""`flask rmq …`: the whole API from a shell, against a service on any host. Imports nothing of the service.

The commands are generated from the service's /openapi.json (tree.py), so a new route is a command at once. names.py
names the commands; a route without an entry is named after its path.
"""

from cli.root import rmq

__all__ = ["rmq"]
