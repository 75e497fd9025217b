"""Publishes a stream of messages, one a line. Sends what it has read without waiting for more input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, BinaryIO, cast

import click

from cli import show
from cli.errors import Failed, Unreachable
from cli.service import Service

_CHUNK = 256 * 1024  # bytes read at once, which limits the size of a request
_BATCH_SIZE = 1000  # messages in one request; the API allows 10,000
_UNCERTAIN = ("publish_refused", "publish_unconfirmed")
"""Codes after which messages may be in a queue."""
_FAILED = 500


def publish_lines(service: Service, stream: BinaryIO, where: dict[str, Any], as_json: bool) -> None:
    """Publish every line to `where`; with an empty `where` each line is a whole publication. Raises Failed when any
    line failed, at the first request that fails as a whole.
    """
    published = failed = 0
    for batch in _batches(stream):
        first, last = batch[0][0], batch[-1][0]
        try:
            data = b"\n".join(_publication(line, where, number) for number, line in batch)
            headers = {"Content-Type": "application/x-ndjson"}
            content = service.request("POST", "/messagePublish", data=data, headers=headers).json()
        except Failed as exc:
            state = "may be published" if _uncertain(exc) else "not published"
            raise type(exc)(f"{exc.message} Published before: {published}; lines {first}–{last}: {state}.") from None
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
        raise Failed(f"Failed: {failed}.")


def _uncertain(exc: Failed) -> bool:
    """Return whether the messages of a request that failed as a whole may be published."""
    problem = exc.problem or {}
    return isinstance(exc, Unreachable) or problem.get("code") in _UNCERTAIN or problem.get("status") == _FAILED


def _publication(line: bytes, where: dict[str, Any], number: int) -> bytes:
    """Return the line as the API expects it. Check it but send it as written: parsing would lose digits of numbers."""
    try:
        json.loads(line)
    except ValueError as exc:
        raise Failed(f"Line {number} is not JSON: {exc}.") from None
    return json.dumps(where)[:-1].encode() + b', "message": ' + line + b"}" if where else line


def _batches(stream: BinaryIO) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the lines with their numbers, without empty ones."""
    number = 1
    for lines in _read(stream):
        numbered = [(at, line) for at, line in enumerate(lines, number) if line.strip()]
        yield from (numbered[start : start + _BATCH_SIZE] for start in range(0, len(numbered), _BATCH_SIZE))
        number += len(lines)


def _read(stream: BinaryIO) -> Iterator[list[bytes]]:
    rest = b""
    while chunk := cast(BufferedReader, stream).read1(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield lines
    yield [rest]
