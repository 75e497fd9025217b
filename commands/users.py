"""`flask users …` commands, which work even when no user can log in to the API.

Changes apply on this host at once and on others within two seconds, like those of the API, and are in the audit log.
"""

from __future__ import annotations

import sys
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
    """Register the commands."""
    store: Store = app.extensions["store"]
    accounts = ShellAccounts(user_accounts, store.audit)
    users = _Reporting("users", help="List, create, change and delete users of the API.")
    app.cli.add_command(users)

    @users.command("list")
    def list_users() -> None:
        """List all users with their roles."""
        for user in accounts.all():
            click.echo(_line(user))

    @users.command("create")
    @click.argument("username")
    @click.option("--role", type=_ROLES, required=True)
    @click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
    def create(username: str, role: Role, password_stdin: bool) -> None:
        """Create a user. Prompts for the password."""
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
    def set_role(username: str, role: Role) -> None:
        """Change the role of a user."""
        click.echo(_line(accounts.update(username, role=role)))

    @users.command("set-password")
    @click.argument("username")
    @click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
    def set_password(username: str, password_stdin: bool) -> None:
        """Change the password of a user, and revoke all their tokens. Prompts for the password."""
        try:
            password = check_password(_password(password_stdin))
        except ValueError as exc:
            raise click.ClickException(f"password {exc}") from None
        click.echo(_line(accounts.update(username, password=password)))

    @users.command("disable")
    @click.argument("username")
    def disable(username: str) -> None:
        """Disable a user, and revoke all their tokens."""
        click.echo(_line(accounts.update(username, disabled=True)))

    @users.command("enable")
    @click.argument("username")
    def enable(username: str) -> None:
        """Enable a disabled user."""
        click.echo(_line(accounts.update(username, disabled=False)))

    @users.command("delete")
    @click.argument("username")
    def delete(username: str) -> None:
        """Delete a user, and revoke all their tokens."""
        accounts.delete(username)
        click.echo(f"Deleted {username}.")


class _Reporting(AppGroup):
    """A group whose commands report domain errors as one sentence and exit with status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WorkerError as exc:
            raise click.ClickException(exc.detail) from None


def _password(from_stdin: bool) -> str:
    """Return the password from standard input or a prompt. Arguments are visible in the process list."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return given


def _line(user: User) -> str:
    return f"{user.username}  {user.role}{'  disabled' if user.disabled else ''}"
