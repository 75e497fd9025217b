"""`flask rmq`: which service is meant, and its commands, found when they are asked for."""

from __future__ import annotations

import click

from cli import description
from cli.exits import Failed
from cli.login import login, logout
from cli.names import GROUPS
from cli.service import Service
from cli.tree import tree

_TREE = "workerrmq.tree"


class Rmq(click.Group):
    """Its commands are what the service can do. While it is away, its groups are listed all the same."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All, in the order of the alphabet."""
        return sorted({*super().list_commands(ctx), *_or_groups(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command or group, or None when there is none. Raises Failed when the service cannot say."""
        known = super().get_command(ctx, name)
        if known or ctx.resilient_parsing:  # completion is no place for errors
            return known or _or_groups(ctx).get(name)
        return _commands(ctx).get(name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in --help."""
        found = {**_or_groups(ctx), **self.commands}
        with formatter.section("Commands"):
            formatter.write_dl([(name, found[name].get_short_help_str(100)) for name in sorted(found)])


def _commands(ctx: click.Context) -> dict[str, click.Command]:
    if _TREE not in ctx.meta:
        service = ctx.obj if isinstance(ctx.obj, Service) else Service.meant(None)  # --help comes before --url is read
        ctx.meta[_TREE] = tree(description.load(service))
    found: dict[str, click.Command] = ctx.meta[_TREE]
    return found


def _or_groups(ctx: click.Context) -> dict[str, click.Command]:
    try:
        return _commands(ctx)
    except Failed:
        return {name: click.Group(name, help=text) for name, text in GROUPS.items()}


def _meant(ctx: click.Context, param: click.Parameter, url: str | None) -> None:
    ctx.obj = Service.meant(url)


@click.group(cls=Rmq)
@click.option(
    "--url",
    callback=_meant,
    expose_value=False,
    is_eager=True,
    help="the service; default WORKERRMQ_URL, else where you logged in last, else http://127.0.0.1:5000",
)
def rmq() -> None:
    """Work with a WorkerRMQ service, here or anywhere.

    Log in with `flask rmq login`, or set WORKERRMQ_URL and WORKERRMQ_API_KEY. With --json the answers are for
    programs.

    \b
    Exit status, with a sentence on stderr unless it is 0:
      0  done
      1  refused, or failed
      2  called wrongly
      3  the service cannot be reached
      4  there is no login, or it has ended
    """


rmq.add_command(login)
rmq.add_command(logout)
