"""`flask rmq login` and `logout`."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

import click

from cli import description
from cli.errors import Failed, LoginNeeded
from cli.logins import Logins
from cli.service import Service

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@click.command()
@click.argument("username", default="admin")
@click.option("--password-stdin", is_flag=True, help="read the password from standard input")
@click.pass_obj
def login(service: Service, username: str, password_stdin: bool) -> None:
    """Log in as USERNAME (default: admin). The command asks for the password.

    The token is stored in a file that only you can read, until you log out or it expires. Later commands use the
    service of the last login. To choose one: flask rmq --url https://rmq.example.com login. Programs need no login: set
    WORKERRMQ_API_KEY to an API key, and WORKERRMQ_URL.
    """
    parts = urlsplit(service.url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        click.echo(f"Warning: {service.url} is not encrypted. Others on the network can read the password.", err=True)
    description.load(service, refresh=True)
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else click.prompt("Password", hide_input=True)
    try:
        answer = Service(service.url, None).request("POST", "/login", body={"username": username, "password": password})
    except LoginNeeded:  # its text advises to log in
        raise Failed("The user name or the password is wrong.") from None
    content = answer.json()
    Logins.of_current_user().save(service.url, content["token"])
    click.echo(f"Logged in to {service.url} as {username} (role {content['role']}) until {content['expiresAt']}.")
    if os.environ.get("WORKERRMQ_API_KEY"):
        click.echo("Warning: WORKERRMQ_API_KEY is set and overrides this login.", err=True)


@click.command()
@click.pass_obj
def logout(service: Service) -> None:
    """Log out and delete the stored token."""
    logins = Logins.of_current_user()
    token = logins.token(service.url)
    if token is None:
        raise LoginNeeded(f"There is no login to {service.url}.")
    logins.delete(service.url)
    Service(service.url, token).request("POST", "/logout")
    click.echo(f"Logged out of {service.url}.")
