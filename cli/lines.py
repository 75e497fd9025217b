"""A stream of messages, one a line: what has been read is sent, so that nothing waits for more to come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, BinaryIO, cast

import click
import requests

from cli import show
from cli.exits import Failed, Unreachable
from cli.service import Service

_CHUNK = 256 * 1024  # bytes read at once, and so about the size of a request
_MOST = 1000  # messages in one request; the API takes 10,000


def publish(service: Service, stream: BinaryIO, where: dict[str, Any], as_json: bool) -> None:
    """Publish every line, `where` and as it says; without, a line says so itself. Raises Failed when any was not
    published, at the first request that fails as a whole."""
    published = failed = 0
    for batch in _batches(stream):
        first, last = batch[0][0], batch[-1][0]
        try:
            data = b"\n".join(_publication(line, where, number) for number, line in batch)
            content = _send(service, data).json()
        except Failed as exc:
            of_these = "may be published or not" if isinstance(exc, Unreachable) else "not published"
            raise type(exc)(f"{exc.message} Published before: {published}; lines {first}–{last}: {of_these}.") from None
        for (number, _), result in zip(batch, content["results"], strict=True):
            if result["status"] != "published":
                click.echo(f"line {number}: {show.cell(result['detail'])}", err=True)
        published += content["published"]
        failed += content["failed"]
    if as_json:
        show.as_json({"published": published, "failed": failed})
    else:
        click.echo(f"Published: {published}")
    if failed:
        raise Failed(f"Not published: {failed}.")


def _send(service: Service, data: bytes) -> requests.Response:
    return service.ask("POST", "/messagePublish", data=data, headers={"Content-Type": "application/x-ndjson"})


def _publication(line: bytes, where: dict[str, Any], number: int) -> bytes:
    """The line as the API takes it. It is checked, and goes as it was written: no number loses a digit."""
    try:
        json.loads(line)
    except ValueError as exc:
        raise Failed(f"Line {number} is not JSON: {exc}.") from None
    return json.dumps(where)[:-1].encode() + b', "message": ' + line + b"}" if where else line


def _batches(stream: BinaryIO) -> Iterator[list[tuple[int, bytes]]]:
    """What has come, as lines with their numbers; empty ones are left out."""
    number = 1
    for lines in _read(stream):
        numbered = [(at, line) for at, line in enumerate(lines, number) if line.strip()]
        yield from (numbered[start : start + _MOST] for start in range(0, len(numbered), _MOST))
        number += len(lines)


def _read(stream: BinaryIO) -> Iterator[list[bytes]]:
    rest = b""
    while chunk := cast(BufferedReader, stream).read1(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield lines
    yield [rest]
