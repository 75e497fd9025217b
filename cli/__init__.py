"""`flask rmq …`: all that the API does, from a shell, against a service anywhere. Imports nothing of the service.

Commands are made from the service's own /openapi.json (tree.py), so a route that the service gets is a command at
once; names.py says what each is called, and what is not said there is called after its route.
"""

from cli.root import rmq

__all__ = ["rmq"]
