"""`flask rmq dead-letters …`: what could not be delivered, why, and sending it again with its progress shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from cli import show
from cli.command import JSON, ask, last, text_of
from cli.description import Description, Operation
from cli.exits import Failed
from cli.fields import fields_of
from cli.options import inputs, parameters
from cli.service import Service

_COLUMNS = {
    "failedAt": "workerrmq-last-failed-at",
    "attempts": "workerrmq-attempts",
    "outcome": "workerrmq-outcome",
    "status": "workerrmq-status",
    "error": "workerrmq-error",
    "reason": "workerrmq-reason",
}


@click.command("list", params=[JSON])
@click.argument("queue_name", metavar="QUEUE_NAME")
@click.option("--dead-letter-queue", help="where they are; default QUEUE_NAME.dlq")
@click.option("--count", type=click.IntRange(1, 500), default=10, show_default=True, help="at most so many")
@click.pass_obj
def list_dead_letters(
    service: Service, queue_name: str, dead_letter_queue: str | None, count: int, as_json: bool
) -> None:
    """Look at the dead letters of a queue, the oldest first, and why each is one. They stay where they are.

    This is POST /getMessages. It takes the role operator.
    """
    where = dead_letter_queue or f"{queue_name}.dlq"
    body = {"queueName": where, "count": count, "ackMode": "peek"}
    held = service.ask("POST", "/getMessages", body=body).json()
    if as_json:
        show.as_json(held)
    elif held:
        show.table([_row(one) for one in held], [])
    else:
        click.echo(f"None in {where}.", err=True)


def _row(held: dict[str, Any]) -> dict[str, Any]:
    properties = held["properties"]
    headers = properties.get("headers") or {}
    why = {column: headers.get(header) for column, header in _COLUMNS.items()}
    return {"messageId": properties.get("messageId"), **why, "message": held["message"]}


def replay(operation: Operation, description: Description) -> click.Command:
    """`dead-letters replay`: begins a replay and stays until it has ended."""
    fields = fields_of(operation, description)
    no_wait = click.Option(["--no-wait"], is_flag=True, help="only begin it, and say its id")

    @click.pass_obj
    def run(service: Service, /, no_wait: bool, as_json: bool, **typed: Any) -> None:
        begun = ask(service, operation, inputs(fields, typed)).json()
        wait = not (no_wait or begun["dryRun"])
        ended = _watched(service, begun) if wait else begun
        show.as_json(ended) if as_json else show.details(_summary(ended))
        if wait and (ended["state"] != "finished" or ended["failed"]):
            raise Failed(f"The replay has not brought all back: {ended['reason'] or str(ended['failed']) + ' failed'}.")

    params = [*parameters(fields), no_wait, JSON]
    return click.Command(
        last(operation), params=params, callback=run, help=text_of(operation), short_help=operation.summary
    )


def _summary(ended: dict[str, Any]) -> dict[str, Any]:
    names = ("replayId", "state", "reason", "deadLetterQueue", "examined", "matched", "replayed", "failed")
    return {name: ended[name] for name in names if ended[name] is not None}


def _watched(service: Service, begun: dict[str, Any]) -> dict[str, Any]:
    """The replay as it ended. On a terminal a bar shows how far it has come."""
    latest = begun
    try:
        if not sys.stderr.isatty():
            *_, latest = [begun, *_progress(service, begun)]
            return latest
        with click.progressbar(length=max(1, begun["total"]), label="Replaying", file=sys.stderr) as bar:
            for latest in _progress(service, begun):
                bar.length = max(1, latest["total"])
                bar.update(latest["examined"] - bar.pos)
        return latest
    except KeyboardInterrupt:
        again = f"flask rmq dead-letters progress {begun['replayId']}"
        raise Failed(f"The replay goes on without you. How far it has come: {again}") from None


def _progress(service: Service, begun: dict[str, Any], every: float = 0.2) -> Iterator[dict[str, Any]]:
    """Ask for the progress every `every` seconds until the replay has ended."""
    latest = begun
    while latest["state"] == "running":
        time.sleep(every)
        latest = service.ask("GET", "/getReplay", query={"replayId": begun["replayId"]}).json()
        yield latest
