"""`flask rmq publish`: one message from an argument, a file or standard input, or many lines (publish_lines.py)."""

from __future__ import annotations

import sys
from base64 import b64encode
from mimetypes import guess_type
from typing import Any, BinaryIO

import click

from cli import publish_lines, show
from cli.command import JSON, built, send
from cli.description import Description, Operation
from cli.fields import fields_of
from cli.options import inputs, parameters
from cli.service import Service

_OWN_PARAMETERS = {"queueName", "message", "bodyBase64", "messages"}

_HELP = """Publish a message to QUEUE, or with --exchange to an exchange. The message is the argument MESSAGE, the
content of --file, or standard input (also with -). The command returns after the broker has confirmed that the message
is in a queue.

With --lines FILE (- is standard input), each line is a message in JSON. The command sends lines as it reads them, so
the input may be endless. Without QUEUE and --exchange, each line also names its destination:
{"queueName": "orders", "message": {"id": 1}}.
"""


def command(operation: Operation, description: Description) -> click.Command:
    """Build the command, with a message's properties as options."""
    fields = [one for one in fields_of(operation, description) if one.path[0] not in _OWN_PARAMETERS]
    params: list[click.Parameter] = [
        click.Argument(["words"], nargs=-1, metavar="[QUEUE] [MESSAGE]"),
        click.Option(["--file"], type=click.File("rb"), help="one message; the extension sets its content type"),
        click.Option(["stream", "--lines"], type=click.File("rb"), help="many messages, one JSON value a line"),
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
            raise click.UsageError("Give the message in one way only: as an argument, --file or --lines.")
        where = {"queueName": queue, **given.body} if queue else given.body
        if stream:
            publish_lines.publish_lines(service, stream, where, as_json)
            return
        given.body.update({**where, **({"message": message} if message is not None else _read(file, where))})
        content = send(service, operation, given).json()
        show.as_json(content) if as_json else show.change(content)

    return built(operation, params, run, _HELP)


def _queue_and_message(words: tuple[str, ...], to_exchange: bool) -> tuple[str | None, str | None]:
    queue = None if to_exchange or not words else words[0]
    rest = words if to_exchange else words[1:]
    if len(rest) > 1:
        raise click.UsageError(f"{rest[1]!r} is one argument too many. Quote a message that contains spaces.")
    return queue, None if not rest or rest[0] == "-" else rest[0]


def _read(file: BinaryIO | None, where: dict[str, Any]) -> dict[str, Any]:
    """Read a body from a file or standard input: as text if it is UTF-8, with the content type of the file's
    extension.
    """
    if not where:
        raise click.UsageError("Missing destination: QUEUE, or --exchange and --routing-key.")
    if file is None and sys.stdin.isatty():
        raise click.UsageError("Missing message: MESSAGE, --file or standard input.")
    content = (file or sys.stdin.buffer).read()
    try:
        read: dict[str, Any] = {"message": content.decode()}
    except UnicodeDecodeError:
        read = {"bodyBase64": b64encode(content).decode()}
    guessed = guess_type(file.name)[0] if file and isinstance(file.name, str) else None
    properties = where.get("properties", {})
    return {**read, "properties": {"contentType": guessed, **properties}} if guessed else read
