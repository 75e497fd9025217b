"""Batches: one request to the target for several messages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from domain.model import Model

MOST_MESSAGES = 1000
"""Maximum of `maxMessages`: half of the largest prefetch, so that the next batch forms while one is in flight."""


class Batch(Model):
    """Limits of a batch, its format, and how the target answers. A request is sent when the batch is full, or
    `maxWaitMs` after its first message arrived."""

    max_messages: int = Field(100, ge=1, le=MOST_MESSAGES)
    max_bytes: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000,
        description="maximum size of the request's body; a message that is larger by itself is sent alone",
    )
    max_wait_ms: int = Field(
        100, ge=0, le=60_000, description="maximum milliseconds from the first message of a batch until it is sent"
    )
    format: Literal["json", "ndjson", "cloudevents"] = Field(
        "json",
        description="json: an array of the payloads, which must be JSON; ndjson: one payload on each line; "
        "cloudevents: an array of CloudEvents with the payloads as data",
    )
    answers: Literal["all", "each"] = Field(
        "all",
        description="all: the answer's status is the answer to every message; each: with a 2xx status, the answer "
        'names the failed messages, {"batchItemFailures": [{"itemIdentifier": "…"}]}; the others are acked',
    )
