"""`flask rmq login` and `logout`."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

import click

from cli import description
from cli.exits import Failed, LoginNeeded
from cli.logins import Logins
from cli.service import Service

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@click.command()
@click.argument("username", default="admin")
@click.option("--password-stdin", is_flag=True, help="read the password from standard input")
@click.pass_obj
def login(service: Service, username: str, password_stdin: bool) -> None:
    """Log in as USERNAME (admin, if it is left out); the password is asked for.

    The token is kept in a file that only you can read, until you log out or it ends; from now on the commands are for
    this service: flask rmq --url https://rmq.example.com login. A program needs no login: give it an API key in
    WORKERRMQ_API_KEY, and WORKERRMQ_URL.
    """
    parts = urlsplit(service.url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        click.echo(f"Warning: {service.url} is not encrypted: others may read the password.", err=True)
    description.load(service, anew=True)
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else click.prompt("Password", hide_input=True)
    try:
        answer = Service(service.url, None).ask("POST", "/login", body={"username": username, "password": password})
    except LoginNeeded:  # whose advice would be to log in
        raise Failed("The user name or the password is wrong.") from None
    content = answer.json()
    Logins.of_user().keep(service.url, content["token"])
    click.echo(f"Logged in to {service.url} as {username}, {content['role']}, until {content['expiresAt']}.")
    if os.environ.get("WORKERRMQ_API_KEY"):
        click.echo("Warning: WORKERRMQ_API_KEY is set, and goes before this login.", err=True)


@click.command()
@click.pass_obj
def logout(service: Service) -> None:
    """End the login, and forget it."""
    logins = Logins.of_user()
    token = logins.token(service.url)
    if token is None:
        raise LoginNeeded(f"There is no login to {service.url}.")
    logins.forget(service.url)
    Service(service.url, token).ask("POST", "/logout")
    click.echo(f"Logged out of {service.url}.")
