"""Checks MONGO_URI with its driver's parser, before anything connects."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode

import pymongo
from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options

from gateway.node_urls import ENCODE
from gateway.tls import TlsFiles

SCHEMES = ("mongodb://", "mongodb+srv://")


def check_uri(uri: str) -> None:
    """Raise ValueError unless pymongo accepts `uri` with all options and it names a database. The predicate follows the
    setting's name, and quotes only names of options. This function resolves no name and does not connect.
    """
    if not uri.startswith(SCHEMES):
        raise ValueError(f"must start with {' or '.join(SCHEMES)}")
    place, _, query = uri.partition("://")[2].partition("?")
    if "@" in place.partition("/")[2] or "@" in query:
        raise ValueError(f'has an "@" after the first "/" or "?". {ENCODE}')
    named = {name.lower(): value for name, value in parse_qsl(query.replace(";", "&"))}
    _check_files(named)
    if query and not _taken(query):
        for name, value in parse_qsl(query.replace(";", "&"), keep_blank_values=True):
            if not _taken(urlencode({name: value})):
                raise ValueError(f"has an option{_quoted(name)} that is unknown, or has a value of the wrong type")
        raise ValueError("has options that are malformed, or that exclude each other")
    _check_concerns(named)
    try:
        client: pymongo.MongoClient[Any] = pymongo.MongoClient(uri, connect=False)
    except (PyMongoError, ValueError, TypeError, OSError):
        raise ValueError(
            f"must look like mongodb://user:password@host:27017/database, with compatible options. {ENCODE}"
        ) from None
    with client:
        try:
            client.get_default_database()
        except PyMongoError:
            raise ValueError("must name a database, as in mongodb://127.0.0.1:27017/workerrmq") from None


def _check_files(named: dict[str, str]) -> None:
    """Raise ValueError with the reason if a file of certificates cannot be used. `named` are options by lower-case
    name."""
    for name, option in (("tlscafile", "tlsCAFile"), ("tlscertificatekeyfile", "tlsCertificateKeyFile")):
        path = named.get(name, "")
        encrypted = "tlscertificatekeyfilepassword" in named  # pymongo decrypts it
        try:
            if path and option == "tlsCAFile":
                TlsFiles(ca=path).context()
            elif path and not encrypted:
                TlsFiles(certificate=path).context()
        except ValueError as exc:
            raise ValueError(f'has an option "{option}" that {exc}') from None


def _check_concerns(named: dict[str, str]) -> None:
    """Raise ValueError for options that could lose changes or read stale data. `named` are options by lower-case
    name."""
    if named.get("w") == "0":
        raise ValueError("has w=0, so that MongoDB does not confirm changes. Leave w out: it defaults to majority")
    if named.get("readpreference", "primary").lower() != "primary":
        raise ValueError(
            "has a readPreference other than primary, so that reads may be stale. Leave readPreference out"
        )


def _taken(options: str) -> bool:
    try:
        split_options(options, warn=False)
    except (PyMongoError, ValueError, TypeError, OSError):
        return False
    return True


def _quoted(name: str) -> str:
    return f' "{name}"' if name.isalnum() and len(name) < 40 else ""
