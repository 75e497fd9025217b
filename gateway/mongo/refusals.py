"""Sentences about MongoDB's refusals for operators, without MongoDB's own text, which quotes the command's values."""

from __future__ import annotations

import re

from pymongo.errors import OperationFailure

_UNAUTHORIZED, _AUTHENTICATION_FAILED = 13, 18
"""Error codes (https://www.mongodb.com/docs/manual/reference/error-codes/)."""
_COMMAND = re.compile(
    r"not authorized on (?P<database>\S+) to execute command \{ (?P<command>\w+): \"(?P<collection>[^\"]+)\""
)


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
