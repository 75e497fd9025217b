"""Commands for the service itself: secret key and log level. `flask --help` lists them."""

from __future__ import annotations

from pathlib import Path

import click
from flask import Flask

from cli import rmq
from domain.errors import StoreUnavailable
from gateway.mongo import Store
from runtime.log_level import LEVELS, set_for_all


def install(app: Flask, store: Store, data_dir: Path) -> None:
    """Add our commands to `flask`."""
    app.cli.add_command(rmq)  # where the project is installed, flask finds it by its entry point, without the app

    @app.cli.command("rotate-secret-key")
    def rotate_secret_key() -> None:
        """Seal all secrets of consumers under the first key of SECRET_KEY.

        First set SECRET_KEY=new,old and restart everything, then run this, then take the old key out. After an upgrade
        it also ties to their consumers the secrets that an earlier version sealed.
        """
        try:
            resealed, unreadable = store.consumers.reseal()
        except StoreUnavailable as exc:
            raise click.ClickException(exc.detail) from None
        click.echo(f"Sealed under the first key: {resealed} consumers.")
        if unreadable:
            names = ", ".join(unreadable)
            raise click.ClickException(f"The secrets of these consumers cannot be opened: {names}. Set them again.")

    @app.cli.command("log-level")
    @click.argument("level", type=click.Choice([*LEVELS, "default"]))
    def log_level(level: str) -> None:
        """Have all processes of this host log from LEVEL on, at once; `default` gives them their LOG_LEVEL back."""
        set_for_all(data_dir, None if level == "default" else level)
