"""The part of a target's answer that the attempt log keeps."""

from __future__ import annotations

from typing import Any

import orjson

from domain.attempt_policy import AttemptPolicy
from domain.consumer import ConsumerSpec
from domain.credentials import redacted
from domain.model import MASK

KEPT = 4096
"""Bytes of an answer's body."""


def answer_body(body: bytes, spec: ConsumerSpec) -> str | None:
    """Return the start of an answer's body as text, with the consumer's credentials masked, as far as its attempt
    policy permits; None if there is none to keep."""
    text = _permitted(body[:KEPT], spec.attempt_log)
    return None if text is None else redacted(text, spec)


def _permitted(body: bytes, policy: AttemptPolicy) -> str | None:
    if not body.strip() or policy.bodies == "none":
        return None
    if policy.bodies == "full":
        return body.decode(errors="replace")
    try:
        content = orjson.loads(body)
    except ValueError:  # it is not JSON, or it was cut off
        return None
    for path in policy.redact:
        _mask(content, path.split("."))
    return orjson.dumps(content).decode()


def _mask(content: Any, path: list[str]) -> None:
    """Replace the value at a path, if there is one."""
    for step in path[:-1]:
        content = _member(content, step)
    last = path[-1]
    if isinstance(content, dict) and last in content:
        content[last] = MASK
    elif isinstance(content, list) and last.isdecimal() and int(last) < len(content):
        content[int(last)] = MASK


def _member(content: Any, step: str) -> Any:
    if isinstance(content, dict):
        return content.get(step)
    if isinstance(content, list) and step.isdecimal() and int(step) < len(content):
        return content[int(step)]
    return None
