"""Translates pymongo's exceptions to domain errors.

Their texts exclude the server's `errmsg`, which for some codes quotes the command and so the content of a document.
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
from gateway.tls import tls_problem

DUPLICATE_KEY = 11000
INDEX_OPTIONS_CONFLICT = 85
TOO_LARGE = frozenset({10334, 17419, 17420})
"""BSONObjectTooLarge, and an update whose result is too large. For the codes see
https://www.mongodb.com/docs/manual/reference/error-codes/."""
NEVER_STORED = TOO_LARGE | {2, 121, 17280}
"""Codes that no retry can fix: also BadValue, DocumentValidationFailure, KeyTooLong."""
RETRY_AFTER = 2.0
"""Seconds in which a client finds a store that is up again."""

_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
"""Error codes (https://www.mongodb.com/docs/manual/reference/error-codes/)."""
_COMMAND = re.compile(
    r"not authorized on (?P<database>\S+) to execute command \{ (?P<command>\w+): \"(?P<collection>[^\"]+)\""
)
_REASON = re.compile(r":\d+: (?:\[[^]]*\] )?(.+?) \(configured timeouts")
"""The reason for each host in a ConnectionFailure of pymongo: `host:port: [Errno 111] reason (configured …)`."""
_SERVER = re.compile(r"Server at \S+")
"""The host in a ConfigurationError, which clients of the health route must not see."""

Failure = PyMongoError | DocumentTooLarge
"""DocumentTooLarge is an error of BSON, not a PyMongoError."""


def translated(failure: Failure) -> WorkerError:
    """Return the domain error for a failure: TooLargeForStore or StoreUnavailable."""
    if isinstance(failure, DocumentTooLarge) or TOO_LARGE.issuperset(codes := _codes(failure)):
        return TooLargeForStore("The content is too large: a document in MongoDB has at most 16 MiB. Send less.")
    return StoreUnavailable(_sentence(failure, codes[0]), retry_after=RETRY_AFTER)


def _codes(failure: PyMongoError) -> list[int]:
    if isinstance(failure, BulkWriteError) and (errors := failure.details.get("writeErrors")):
        return [error["code"] for error in errors]
    return [getattr(failure, "code", None) or 0]


def _sentence(failure: PyMongoError, code: int) -> str:
    if isinstance(failure, OperationFailure) and not failure.timeout:
        return refusal(failure, code)
    if isinstance(failure, ConfigurationError):  # for example, the server's version is too old
        return f"MongoDB cannot be used: {_SERVER.sub('the server', str(failure))}"
    if failure.timeout and not isinstance(failure, ServerSelectionTimeoutError):
        return "MongoDB did not answer in time. Try again shortly."
    if problem := tls_problem(str(failure), "MONGO_URI, as tlsCAFile"):
        return f"MongoDB cannot be reached: {problem}."
    reasons = ", ".join(sorted(set(_REASON.findall(str(failure)))))
    return f"MongoDB cannot be reached{f' ({reasons})' if reasons else ''}. Try again shortly."


def refusal(exc: OperationFailure, code: int) -> str:
    """Return the reason as a sentence. `code` is the server's code; the exception's own differs for a
    BulkWriteError."""
    if code == _AUTHENTICATION_FAILED:
        return "MongoDB refuses the login: wrong user, password or authSource in MONGO_URI."
    if code == _UNAUTHORIZED and (found := _COMMAND.search(str(exc))):
        what = f"the command {found['command']} on {found['database']}.{found['collection']}"
        return f"MongoDB's user lacks the permission for {what}. Use the role that docs/deploy/mongo-role.js creates."
    if code == _UNAUTHORIZED:
        return "MongoDB's user lacks a permission. Use the role that docs/deploy/mongo-role.js creates."
    name = (exc.details or {}).get("codeName")
    return f"MongoDB refused the operation: {f'{name}, code' if name else 'code'} {code}."
