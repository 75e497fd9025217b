"""MONGO_URI as its driver reads it, before anything connects."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import pymongo
from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options

from gateway.node_urls import ENCODE

SCHEMES = ("mongodb://", "mongodb+srv://")


def check_uri(uri: str) -> None:
    """Raise ValueError unless pymongo takes `uri` with all of its options, and it names a database. The sentence
    follows the setting's name and quotes nothing but the name of an option. Resolves no name and connects to nothing.
    """
    if not uri.startswith(SCHEMES):
        raise ValueError(f"must start with {' or '.join(SCHEMES)}")
    place, _, query = uri.partition("://")[2].partition("?")
    if "@" in place.partition("/")[2] or "@" in query:
        raise ValueError(f'has an "@" after the first "/" or "?". {ENCODE}')
    if query and not _taken(query):
        for name, value in parse_qsl(query.replace(";", "&"), keep_blank_values=True):
            if not _taken(urlencode({name: value})):
                raise ValueError(f"has an option{_quoted(name)} that is unknown, or that has a value of the wrong kind")
        raise ValueError("has options that are malformed, or that do not fit together")
    try:
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(uri, connect=False)
    except (PyMongoError, ValueError, TypeError, OSError):
        raise ValueError(
            f"must look like mongodb://user:password@host:27017/database, with options that fit. {ENCODE}"
        ) from None
    with client:
        try:
            client.get_default_database()
        except PyMongoError:
            raise ValueError("must name a database, as in mongodb://127.0.0.1:27017/workerrmq") from None


def _taken(options: str) -> bool:
    try:
        split_options(options, warn=False)
    except (PyMongoError, ValueError, TypeError, OSError):
        return False
    return True


def _quoted(name: str) -> str:
    return f' "{name}"' if name.isalnum() and len(name) < 40 else ""
