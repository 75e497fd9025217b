"""`flask rmq`: chooses the service, and loads its commands on first use."""

from __future__ import annotations

import click

from cli import description
from cli.errors import Failed
from cli.login import login, logout
from cli.names import GROUPS
from cli.service import Service
from cli.tree import tree

_TREE = "workerrmq.tree"


class Rmq(click.Group):
    """A group with the service's operations as commands. While the service is down, it lists the groups only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names in alphabetical order."""
        return sorted({*super().list_commands(ctx), *_commands_or_groups(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command or group, None for an unknown one. Raises Failed when the service does not answer."""
        known = super().get_command(ctx, name)
        if known or ctx.resilient_parsing:  # completion must not print errors
            return known or _commands_or_groups(ctx).get(name)
        return _commands(ctx).get(name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list in --help."""
        found = {**_commands_or_groups(ctx), **self.commands}
        with formatter.section("Commands"):
            formatter.write_dl([(name, found[name].get_short_help_str(100)) for name in sorted(found)])


def _commands(ctx: click.Context) -> dict[str, click.Command]:
    if _TREE not in ctx.meta:
        # click evaluates --help before --url.
        service = ctx.obj if isinstance(ctx.obj, Service) else Service.configured(None)
        ctx.meta[_TREE] = tree(description.load(service))
    found: dict[str, click.Command] = ctx.meta[_TREE]
    return found


def _commands_or_groups(ctx: click.Context) -> dict[str, click.Command]:
    try:
        return _commands(ctx)
    except Failed:
        return {name: click.Group(name, help=text) for name, text in GROUPS.items()}


def _set_service(ctx: click.Context, param: click.Parameter, url: str | None) -> None:
    ctx.obj = Service.configured(url)


@click.group(cls=Rmq)
@click.option(
    "--url",
    callback=_set_service,
    expose_value=False,
    is_eager=True,
    help="the service (default: WORKERRMQ_URL, else the last login's, else http://127.0.0.1:5000)",
)
def rmq() -> None:
    """Use a WorkerRMQ service on any host.

    Log in with `flask rmq login`, or set WORKERRMQ_URL and WORKERRMQ_API_KEY. Programs use --json.

    \b
    Exit status, with a sentence on stderr unless it is 0:
      0  done
      1  refused or failed
      2  wrong usage
      3  the service is unreachable
      4  no login, or it has expired
    """


rmq.add_command(login)
rmq.add_command(logout)
