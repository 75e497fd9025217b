"""What the service keeps in MongoDB. pymongo's exceptions leave it as errors of the domain (failures.py)."""

from gateway.mongo.connection import Store, client_options, open_store

__all__ = ["Store", "client_options", "open_store"]
