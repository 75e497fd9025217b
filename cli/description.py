"""The service's OpenAPI 3.1 document: fetched, cached and split into operations."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import Unreachable
from cli.logins import write_private
from cli.service import Service

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """A route. `body` is the schema of its JSON body, `media` the content type of its answer."""

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
    """The operations and schemas of a service."""

    def __init__(self, document: Schema) -> None:
        self.operations = {one.id: one for one in _operations(document)}
        self._schemas: dict[str, Schema] = document.get("components", {}).get("schemas", {})

    def resolve(self, schema: Schema) -> Schema:
        """Return the schema without a reference or a null at its top. Keys beside a reference override its keys."""
        if "$ref" in schema:
            siblings = {name: value for name, value in schema.items() if name != "$ref"}
            return self.resolve({**self._schemas[schema["$ref"].rpartition("/")[2]], **siblings})
        options = [option for option in schema.get("anyOf", []) if option.get("type") != "null"]
        if len(options) == 1:
            siblings = {name: value for name, value in schema.items() if name != "anyOf"}
            return {**self.resolve(options[0]), **siblings}
        return schema


def load(service: Service, refresh: bool = False, *, max_age: float = 300.0) -> Description:
    """Return a service's description. Use a cached one of at most `max_age` seconds (the max-age of /openapi.json)
    unless `refresh`, and an older one while the service is down.

    Raises Unreachable without any, and the errors of Service.request.
    """
    cached = _cache_file(service.url)
    if not refresh and (document := _read(cached)) and 0 <= time.time() - cached.stat().st_mtime < max_age:
        return Description(document)
    try:
        answer = service.request("GET", "/openapi.json")
    except Unreachable:
        if document := _read(cached):
            return Description(document)
        raise
    try:
        document = answer.json()
        description = Description(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unreachable(f"{service.url} answers, but is not a WorkerRMQ service. Check the URL.") from None
    with suppress(OSError):  # the cache is optional
        write_private(cached, document)
    return description


def _operations(document: Schema) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, spec in methods.items():
            content = spec.get("requestBody", {}).get("content", {})
            answer: Schema = next((one for status, one in spec["responses"].items() if status.startswith("2")), {})
            yield Operation(
                spec["operationId"],
                method.upper(),
                path,
                spec["tags"][0],
                spec["summary"],
                spec["description"],
                spec.get("x-required-role"),
                spec.get("parameters", []),
                content.get("application/json", {}).get("schema"),
                next(iter(answer.get("content", {})), ""),
            )


def _cache_file(url: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "workerrmq" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"


def _read(cached: Path) -> Schema | None:
    with suppress(OSError, ValueError):
        document = json.loads(cached.read_text())
        return document if isinstance(document, dict) else None
    return None
