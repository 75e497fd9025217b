"""pymongo's exceptions as errors of the domain, in the server's own words.

The server's `errmsg` stays out of them: for some codes it quotes the command, and so what a document holds.
"""

from __future__ import annotations

import re

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from domain.errors import StoreUnavailable, TooLargeForStore, WorkerError
from gateway.mongo.refusals import refusal
from gateway.tls import tls_problem

DUPLICATE_KEY = 11000
INDEX_OPTIONS_CONFLICT = 85
TOO_LARGE = frozenset({10334, 17419, 17420})
"""BSONObjectTooLarge, and an update whose result would be too large. The codes are those of
https://www.mongodb.com/docs/manual/reference/error-codes/."""
NEVER_STORED = TOO_LARGE | {2, 121, 17280}
"""Of a document: BadValue, DocumentValidationFailure, KeyTooLong."""
RETRY_AFTER = 2.0
"""Seconds that a client takes to find a store that is back."""

_REASON = re.compile(r":\d+: (?:\[[^]]*\] )?(.+?) \(configured timeouts")
"""Of each host in a ConnectionFailure of pymongo, which names it so: `host:port: [Errno 111] reason (configured …)`."""
_SERVER = re.compile(r"Server at \S+")
"""In a ConfigurationError: whoever asks for the health need not know the host."""

Failure = PyMongoError | DocumentTooLarge
"""DocumentTooLarge is no PyMongoError, but one of BSON's."""


def translated(failure: Failure) -> WorkerError:
    """The error of the domain."""
    if isinstance(failure, DocumentTooLarge) or TOO_LARGE.issuperset(codes := _codes(failure)):
        return TooLargeForStore("The content is too large: MongoDB takes at most 16 MiB in one document. Send less.")
    return StoreUnavailable(_sentence(failure, codes[0]), retry_after=RETRY_AFTER)


def _codes(failure: PyMongoError) -> list[int]:
    if isinstance(failure, BulkWriteError) and (errors := failure.details.get("writeErrors")):
        return [error["code"] for error in errors]
    return [getattr(failure, "code", None) or 0]


def _sentence(failure: PyMongoError, code: int) -> str:
    if isinstance(failure, OperationFailure) and not failure.timeout:
        return refusal(failure, code)
    if isinstance(failure, ConfigurationError):  # such as a server whose version is too old
        return f"MongoDB cannot be used: {_SERVER.sub('the server', str(failure))}"
    if failure.timeout and not isinstance(failure, ServerSelectionTimeoutError):
        return "MongoDB did not answer in time. Try again shortly."
    if problem := tls_problem(str(failure), "MONGO_URI, as tlsCAFile"):
        return f"MongoDB cannot be reached: {problem}."
    reasons = ", ".join(sorted(set(_REASON.findall(str(failure)))))
    return f"MongoDB cannot be reached{f' ({reasons})' if reasons else ''}. Try again shortly."
