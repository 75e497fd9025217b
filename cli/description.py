"""The service's own description (OpenAPI 3.1): fetched, kept for a while, and taken apart into operations."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.exits import Unreachable
from cli.service import Service

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. `body` is the schema of its JSON body, `media` the content type of its answer."""

    id: str
    method: str
    path: str
    tag: str
    summary: str
    text: str
    role: str | None
    parameters: list[Schema]
    body: Schema | None
    media: str


class Description:
    """What one service can do."""

    def __init__(self, document: Schema) -> None:
        self.operations = {one.id: one for one in _operations(document)}
        self._schemas: dict[str, Schema] = document.get("components", {}).get("schemas", {})

    def plain(self, schema: Schema) -> Schema:
        """The schema without a reference or a null at its top; what is said beside a reference goes before it."""
        if "$ref" in schema:
            beside = {name: value for name, value in schema.items() if name != "$ref"}
            return self.plain({**self._schemas[schema["$ref"].rpartition("/")[2]], **beside})
        options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
        if len(options) == 1:
            beside = {name: value for name, value in schema.items() if name != "anyOf"}
            return {**self.plain(options[0]), **beside}
        return schema


def load(service: Service, anew: bool = False, *, fresh: float = 300.0) -> Description:
    """The description of a service: one of the last `fresh` seconds (as long as /openapi.json itself says), unless
    `anew`; an older one when the service is down.

    Raises Unreachable when there is none, and what `ask` raises.
    """
    kept = _place(service.url)
    if not anew and (document := _read(kept)) and 0 <= time.time() - kept.stat().st_mtime < fresh:
        return Description(document)
    try:
        answer = service.ask("GET", "/openapi.json")
    except Unreachable:
        if document := _read(kept):
            return Description(document)
        raise
    try:
        document = answer.json()
        description = Description(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unreachable(f"{service.url} answers, but is no WorkerRMQ. Is the URL right?") from None
    _write(kept, document)
    return description


def _operations(document: Schema) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            content = said.get("requestBody", {}).get("content", {})
            answer: Schema = next((one for status, one in said["responses"].items() if status.startswith("2")), {})
            yield Operation(
                said["operationId"],
                method.upper(),
                path,
                said["tags"][0],
                said["summary"],
                said["description"],
                said.get("x-required-role"),
                said.get("parameters", []),
                content.get("application/json", {}).get("schema"),
                next(iter(answer.get("content", {})), ""),
            )


def _place(url: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "workerrmq" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"


def _read(kept: Path) -> Schema | None:
    with suppress(OSError, ValueError):
        document = json.loads(kept.read_text())
        return document if isinstance(document, dict) else None
    return None


def _write(kept: Path, document: Schema) -> None:
    with suppress(OSError):  # it is only slower without
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=kept.parent)
        with os.fdopen(number, "w") as file:
            json.dump(document, file)
        Path(name).replace(kept)
