"""`flask rmq publish`: one message as an argument, a file or standard input, or many, a line each (lines.py)."""

from __future__ import annotations

import sys
from base64 import b64encode
from mimetypes import guess_type
from typing import Any, BinaryIO

import click

from cli import lines, show
from cli.command import JSON, ask, last
from cli.description import Description, Operation
from cli.fields import fields_of
from cli.options import inputs, parameters
from cli.service import Service

_SAID_OTHERWISE = {"queueName", "message", "bodyBase64", "messages"}

_HELP = """Publish a message to QUEUE, or with --exchange to an exchange: the argument MESSAGE, the --file, or what
comes on standard input (- is that, too). The answer comes when the broker has it in a queue.

With --lines FILE (- is standard input) every line is a message in JSON, and is sent as soon as it is read, so that an
endless stream will do. Without QUEUE and --exchange every line is a whole publication:
{"queueName": "orders", "message": {"id": 1}}.
"""


def command(operation: Operation, description: Description) -> click.Command:
    """The command, with the properties of a message as options."""
    fields = [one for one in fields_of(operation, description) if one.path[0] not in _SAID_OTHERWISE]
    params: list[click.Parameter] = [
        click.Argument(["words"], nargs=-1, metavar="[QUEUE] [MESSAGE]"),
        click.Option(["--file"], type=click.File("rb"), help="one message; its name tells its type, as in order.json"),
        click.Option(["stream", "--lines"], type=click.File("rb"), help="many messages: JSON, one a line"),
        *parameters(fields),
        JSON,
    ]

    @click.pass_obj
    def run(
        service: Service,
        /,
        words: tuple[str, ...],
        file: BinaryIO | None,
        stream: BinaryIO | None,
        as_json: bool,
        **typed: Any,
    ) -> None:
        given = inputs(fields, typed)
        queue, message = _queue_and_message(words, "exchange" in given.body)
        if sum(source is not None for source in (message, file, stream)) > 1:
            raise click.UsageError("Give the message once: as an argument, by --file, or by --lines.")
        where = {"queueName": queue, **given.body} if queue else given.body
        if stream:
            lines.publish(service, stream, where, as_json)
            return
        given.body.update({**where, **({"message": message} if message is not None else _read(file, where))})
        content = ask(service, operation, given).json()
        if as_json:
            show.as_json(content)
        else:
            show.done(content)

    help_text = f"{_HELP}\n\nThis is POST /messagePublish. It takes the role {operation.role}."
    return click.Command(last(operation), params=params, callback=run, help=help_text, short_help=operation.summary)


def _queue_and_message(words: tuple[str, ...], to_exchange: bool) -> tuple[str | None, str | None]:
    queue = None if to_exchange or not words else words[0]
    rest = words if to_exchange else words[1:]
    if len(rest) > 1:
        raise click.UsageError(f"{rest[1]!r} is one argument too many: put quotes around a message with spaces.")
    return queue, None if not rest or rest[0] == "-" else rest[0]


def _read(file: BinaryIO | None, where: dict[str, Any]) -> dict[str, Any]:
    """A body from a file or standard input: a text where it is UTF-8, with the type that the file's name tells."""
    if not where:
        raise click.UsageError("Say where to: QUEUE, or --exchange and --routing-key.")
    if file is None and sys.stdin.isatty():
        raise click.UsageError("Give a MESSAGE, a --file, or pipe it in.")
    content = (file or sys.stdin.buffer).read()
    try:
        read: dict[str, Any] = {"message": content.decode()}
    except UnicodeDecodeError:
        read = {"bodyBase64": b64encode(content).decode()}
    guessed = guess_type(file.name)[0] if file and isinstance(file.name, str) else None
    properties = where.get("properties", {})
    return {**read, "properties": {"contentType": guessed, **properties}} if guessed else read
