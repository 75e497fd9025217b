"""`flask users …`: what an operator does from the shell, beside a running service."""

from __future__ import annotations

import getpass
from collections.abc import Callable

import pytest
from click.testing import Result

from domain.model import MASK
from tests.api.client import ADMIN, PASSWORD, Api
from tests.api.conftest import MakeApp, database_of
from tests.support.processes import free_port
from tests.support.store import StoreNode

Run = Callable[..., Result]


@pytest.fixture
def run(api: Api, make_app: MakeApp, store: StoreNode, unique_name: str) -> Run:
    """Runs `flask users …` in a separate app, over the store of `api`."""
    shell = make_app(mongo_uri=store.uri(database_of(unique_name))).test_cli_runner()
    return lambda *arguments, typed="": shell.invoke(args=["users", *arguments], input=typed)


def test_a_user_is_created_listed_and_can_log_in(api: Api, run: Run) -> None:
    made = run("create", "carol", "--role", "viewer", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert made.exit_code == 0, made.output
    assert PASSWORD not in made.output
    assert run("list").output == "admin  admin\ncarol  viewer\n"
    assert Api(api.app).login("carol").status_code == 200


def test_a_password_may_come_by_standard_input(api: Api, run: Run) -> None:
    made = run("create", "carol", "--role", "viewer", "--password-stdin", typed=f"{PASSWORD}\n")
    assert (made.exit_code, made.output) == (0, "carol  viewer\n")
    assert Api(api.app).login("carol").status_code == 200


def test_a_change_takes_hold_of_a_running_service_at_once(api: Api, run: Run) -> None:
    user = api.as_user("carol", "admin")
    assert user("GET", "/getUsers").status_code == 200
    assert run("set-role", "carol", "viewer").output == "carol  viewer\n"
    assert user("GET", "/getUsers").status_code == 403
    assert run("disable", "carol").output == "carol  viewer  disabled\n"
    assert user("GET", "/getUsers").status_code == 401
    assert user.login("carol").status_code == 401
    assert run("enable", "carol").output == "carol  viewer\n"
    assert user.login("carol").status_code == 200
    assert run("set-password", "carol", "--password-stdin", typed="another good one\n").exit_code == 0
    assert user("GET", "/getConsumers").status_code == 401
    assert user.login("carol", "another good one").status_code == 200
    assert run("delete", "carol").output == "Deleted carol.\n"
    assert user("GET", "/getConsumers").status_code == 401


def test_changes_are_in_the_audit_log_and_their_passwords_are_not(api: Api, run: Run) -> None:
    run("create", "carol", "--role", "viewer", "--password-stdin", typed=f"{PASSWORD}\n")
    run("set-password", "carol", "--password-stdin", typed="another good one\n")
    run("delete", "carol")
    run("delete", "carol")
    answer = api("GET", "/getAuditLog?resource=carol")
    assert [(one["action"], one["status"]) for one in reversed(answer.json)] == [
        ("createUser", 201), ("updateUser", 200), ("deleteUser", 200)
    ]  # fmt: skip
    assert {one["user"] for one in answer.json} == {f"shell:{getpass.getuser()}"}
    deleted, updated, _ = (one["changes"] for one in answer.json)
    assert updated == [{"field": "password", "from": MASK, "to": MASK}]
    assert {"field": "role", "from": "viewer", "to": None} in deleted
    assert "another good one" not in answer.text


def test_an_invalid_command_is_refused_with_a_reason(run: Run) -> None:
    for arguments, typed, says in (
        (("delete", "nobody"), "", "no user 'nobody'"),
        (("delete", ADMIN), "", "last admin"),
        (("disable", ADMIN), "", "last admin"),
        (("create", ADMIN, "--role", "viewer", "--password-stdin"), PASSWORD, "already"),
        (("create", "x", "--role", "viewer", "--password-stdin"), "short", "at least 12 bytes"),
        (("create", "a:b", "--role", "viewer", "--password-stdin"), PASSWORD, "username"),
        (("set-password", ADMIN, "--password-stdin"), "short", "at least 12 bytes"),
    ):
        result = run(*arguments, typed=typed)
        assert result.exit_code == 1
        assert says in result.output
        assert "Traceback" not in result.output
        assert "short" not in result.output.replace("shorter", "")


def test_the_commands_report_that_the_store_is_down(make_app: MakeApp) -> None:
    shell = make_app(mongo_uri=f"mongodb://127.0.0.1:{free_port()}/none").test_cli_runner()
    result = shell.invoke(args=["users", "list"])
    said = "Error: MongoDB cannot be reached (Connection refused). Try again shortly.\n"
    assert (result.exit_code, result.output) == (1, said)
