"""What the service keeps in MongoDB. Every pymongo exception becomes StoreUnavailable in here."""

from gateway.mongo.connection import CLIENT_OPTIONS, Store, open_store

__all__ = ["CLIENT_OPTIONS", "Store", "open_store"]
