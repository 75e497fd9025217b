"""`flask users …`: the users from the shell, even when nobody can log in to the API.

They take hold as those of the API do: on this host at once, on others within two seconds; and are in the audit log.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, get_args

import click
from flask import Flask
from flask.cli import AppGroup
from pydantic import ValidationError

from domain.errors import WorkerError
from domain.user import CreateUser, Role, User, check_password
from gateway.mongo import Store
from services.shell_accounts import ShellAccounts
from services.users import UserAccounts

_ROLES = click.Choice(get_args(Role))


def install(app: Flask, user_accounts: UserAccounts) -> None:
    """Add them to `flask`."""
    store: Store = app.extensions["store"]
    accounts = ShellAccounts(user_accounts, store.audit)
    users = AppGroup("users", help="List, create, change and delete users of the API.")
    app.cli.add_command(users)

    @users.command("list")
    @_sayings
    def list_users() -> None:
        """Show all users with their roles."""
        for user in accounts.all():
            click.echo(_line(user))

    @users.command("create")
    @click.argument("username")
    @click.option("--role", type=_ROLES, required=True)
    @click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
    @_sayings
    def create(username: str, role: Role, password_stdin: bool) -> None:
        """Create a user; the password is asked for."""
        fields = {"username": username, "password": _password(password_stdin), "role": role}
        try:
            wanted = CreateUser.model_validate(fields)
        except ValidationError as exc:
            wrong = [f"{error['loc'][0]} {error['msg'].removeprefix('Value error, ')}" for error in exc.errors()]
            raise click.ClickException("; ".join(wrong)) from None
        click.echo(_line(accounts.create(wanted.username, wanted.password.get_secret_value(), wanted.role)))

    @users.command("set-role")
    @click.argument("username")
    @click.argument("role", type=_ROLES)
    @_sayings
    def set_role(username: str, role: Role) -> None:
        """Give a user another role."""
        click.echo(_line(accounts.update(username, role=role)))

    @users.command("set-password")
    @click.argument("username")
    @click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
    @_sayings
    def set_password(username: str, password_stdin: bool) -> None:
        """Give a user another password, which is asked for; all their tokens end."""
        try:
            password = check_password(_password(password_stdin))
        except ValueError as exc:
            raise click.ClickException(f"password {exc}") from None
        click.echo(_line(accounts.update(username, password=password)))

    @users.command("disable")
    @click.argument("username")
    @_sayings
    def disable(username: str) -> None:
        """Keep a user out, and end all their tokens."""
        click.echo(_line(accounts.update(username, disabled=True)))

    @users.command("enable")
    @click.argument("username")
    @_sayings
    def enable(username: str) -> None:
        """Let a disabled user in again."""
        click.echo(_line(accounts.update(username, disabled=False)))

    @users.command("delete")
    @click.argument("username")
    @_sayings
    def delete(username: str) -> None:
        """Delete a user, and end all their tokens."""
        accounts.delete(username)
        click.echo(f"{username} is deleted.")


def _sayings(command: Callable[..., None]) -> Callable[..., None]:
    """Domain errors as a sentence and exit status 1."""

    @wraps(command)
    def said(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except WorkerError as exc:
            raise click.ClickException(exc.detail) from None

    return said


def _password(from_stdin: bool) -> str:
    """Never an argument: the process list shows those to everybody."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return given


def _line(user: User) -> str:
    return f"{user.username}  {user.role}{'  disabled' if user.disabled_at else ''}"
