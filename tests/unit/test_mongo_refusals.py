"""If MongoDB refuses a command, the error names the missing permission, never the values of the command."""

from __future__ import annotations

from pymongo.errors import OperationFailure

from gateway.mongo.failures import refusal


def test_a_missing_permission_is_named_with_its_collection() -> None:
    words = (
        'not authorized on workerrmq to execute command { find: "users", filter: { _id: "canary" }, '
        'limit: 1, lsid: { id: UUID("0b1") }, $db: "workerrmq" }'
    )
    said = refusal(
        OperationFailure(words, 13, {"ok": 0.0, "errmsg": words, "code": 13, "codeName": "Unauthorized"}), 13
    )
    assert "lacks the permission for the command find on workerrmq.users" in said
    assert "canary" not in said
    assert "lacks a permission" in refusal(OperationFailure("command count requires authentication", 13), 13)


def test_a_refused_login_is_not_a_missing_permission() -> None:
    said = refusal(OperationFailure("Authentication failed.", 18, {"codeName": "AuthenticationFailed"}), 18)
    assert "wrong user, password or authSource" in said
    assert "permission" not in said


def test_any_other_refusal_keeps_its_code() -> None:
    assert refusal(OperationFailure("canary", 85), 85) == "MongoDB refused the operation: code 85."
