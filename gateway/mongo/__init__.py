"""The collections of the service in MongoDB. pymongo's exceptions become domain errors here (failures.py)."""

from gateway.mongo.connection import Store, client_options, open_store

__all__ = ["Store", "client_options", "open_store"]
