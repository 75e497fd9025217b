"""`flask rmq dead-letters …`: list dead letters with their reasons, and replay them with a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from cli import show
from cli.command import JSON, built, send
from cli.description import Description, Operation
from cli.errors import Failed
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
@click.option("--dead-letter-queue", help="the dead-letter queue (default: QUEUE_NAME.dlq)")
@click.option("--count", type=click.IntRange(1, 500), default=10, show_default=True, help="the maximum number")
@click.pass_obj
def list_dead_letters(
    service: Service, queue_name: str, dead_letter_queue: str | None, count: int, as_json: bool
) -> None:
    """List the dead letters of a queue and their reasons, the oldest first. They stay in their queue.

    This is POST /getMessages. Required role: operator.
    """
    queue = dead_letter_queue or f"{queue_name}.dlq"
    body = {"queueName": queue, "count": count, "ackMode": "peek"}
    held = service.request("POST", "/getMessages", body=body).json()
    if as_json:
        show.as_json(held)
    elif held:
        show.table([_row(one) for one in held], [])
    else:
        click.echo(f"No dead letters in {queue}.", err=True)


def _row(held: dict[str, Any]) -> dict[str, Any]:
    properties = held["properties"]
    headers = properties.get("headers") or {}
    why = {column: headers.get(header) for column, header in _COLUMNS.items()}
    return {"messageId": properties.get("messageId"), **why, "message": held["message"]}


def replay(operation: Operation, description: Description) -> click.Command:
    """Build `dead-letters replay`: starts a replay and waits until it ends."""
    fields = fields_of(operation, description)
    no_wait = click.Option(["--no-wait"], is_flag=True, help="start the replay, print its id and return")

    @click.pass_obj
    def run(service: Service, /, no_wait: bool, as_json: bool, **typed: Any) -> None:
        begun = send(service, operation, inputs(fields, typed)).json()
        wait = not (no_wait or begun["dryRun"])
        ended = _wait_for_end(service, begun) if wait else begun
        show.as_json(ended) if as_json else show.details(_summary(ended))
        if wait and (ended["state"] != "finished" or ended["failed"]):
            raise Failed(f"Not all messages were replayed: {ended['failed']} failed. {ended['reason'] or ''}".rstrip())

    return built(operation, [*parameters(fields), no_wait, JSON], run)


def _summary(ended: dict[str, Any]) -> dict[str, Any]:
    names = ("replayId", "state", "reason", "deadLetterQueue", "examined", "matched", "replayed", "failed", "skipped")
    return {name: ended[name] for name in names if ended[name] is not None}


def _wait_for_end(service: Service, begun: dict[str, Any]) -> dict[str, Any]:
    """Return the ended replay. On a terminal, show a progress bar."""
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
        command = f"flask rmq dead-letters progress {begun['replayId']}"
        raise Failed(f"The replay continues on the service. To see its progress: {command}") from None


def _progress(service: Service, begun: dict[str, Any], every: float = 0.2) -> Iterator[dict[str, Any]]:
    """Ask for the progress every `every` seconds until the replay has ended."""
    latest = begun
    while latest["state"] == "running":
        time.sleep(every)
        latest = service.request("GET", "/getReplay", query={"replayId": begun["replayId"]}).json()
        yield latest
