"""`flask …` commands for the secret key and the log level."""

from __future__ import annotations

from pathlib import Path

import click
from flask import Flask

from cli import rmq
from domain.errors import StoreUnavailable
from gateway.mongo import Store
from runtime.log_level import LEVELS, set_for_all


def install(app: Flask, store: Store, data_dir: Path) -> None:
    """Register the commands."""
    app.cli.add_command(rmq)  # an installed project also registers it by its entry point

    @app.cli.command("rotate-secret-key")
    def rotate_secret_key() -> None:
        """Encrypt all secrets of consumers with the first key of SECRET_KEY.

        First set SECRET_KEY=new,old and restart all processes. Then run this command, and remove the old key. After an
        upgrade, this command also binds secrets of earlier versions to their consumers.
        """
        try:
            resealed, unreadable = store.consumers.reseal()
        except StoreUnavailable as exc:
            raise click.ClickException(exc.detail) from None
        click.echo(f"Encrypted with the first key: {resealed} consumers.")
        if unreadable:
            names = ", ".join(unreadable)
            raise click.ClickException(f"The secrets of these consumers cannot be decrypted: {names}. Set them again.")

    @app.cli.command("log-level")
    @click.argument("level", type=click.Choice([*LEVELS, "default"]))
    def log_level(level: str) -> None:
        """Set the log level of all processes of this host at once. `default` restores their LOG_LEVEL."""
        set_for_all(data_dir, None if level == "default" else level)
