"""Dead letters: GET /getDeadLetters, GET /exportDeadLetters, POST /replayDeadLetters, POST /moveDeadLetters, POST
/deleteDeadLetters, GET /getReplay."""

from __future__ import annotations

from typing import Any

from flask import Response
from pydantic import Field
from pydantic_core import to_json

from domain.dead_letter import MAX_EXAMINED, DeadLetters
from domain.errors import NotFound
from domain.model import Model
from domain.names import QueueName
from domain.replay import DeadLetterFilter, DeadLetterSelection, DeleteRequest, MoveRequest, Replay, ReplayRequest
from middlewares.auth import caller, services
from routes.api import Api, Reply
from routes.audit import recorder
from routes.inputs import NDJSON
from routes.refusals import LOOK, QUEUE
from routes.scope import Touches

api = Api("dead_letters")


class DeadLettersQuery(Model):
    """Parameters of a look into a dead-letter queue."""

    dead_letter_queue: QueueName = Field(examples=["orders.dlq"])
    examine: int = Field(
        1000, ge=1, le=MAX_EXAMINED, description="maximum number of messages to examine, from the head of the queue"
    )


class ExportQuery(Model):
    """Parameters of an export."""

    dead_letter_queue: QueueName = Field(examples=["orders.dlq"])
    group: str | None = Field(None, description="only this group of `GET /getDeadLetters`")


class WhichReplay(Model):
    """Identifies a replay."""

    replay_id: str = Field(min_length=1, max_length=100, examples=["6f1ed002ab5595859014ebf0"])


def _queues_of(query: WhichReplay) -> list[str | None]:
    try:
        replay = services.replays.get(query.replay_id)
    except NotFound:  # the answer is the same as for a replay of a forbidden queue
        return [None]
    return [replay.queue_name, replay.dead_letter_queue]


def _both_queues(body: DeadLetterSelection) -> list[str]:
    moved_to = [body.to_queue] if isinstance(body, MoveRequest) else []
    return [*services.replays.queues_of(body), *moved_to]


_LETTERS = Touches(lambda query: [query.dead_letter_queue])
_BEGINNING: dict[str, Any] = {
    "role": "operator",
    "idempotent": True,
    "touches": Touches(_both_queues),
    "statuses": (200, 202),
    "refuses": ("400 stream_queue", "404 queue_not_found", "409 busy", "423 locked", *QUEUE),
}
"""The options of the routes that begin a replay, a move or a deletion."""


@api.get("/getDeadLetters", role="operator", touches=_LETTERS, refuses=LOOK)
def get_dead_letters(query: DeadLettersQuery) -> Reply[DeadLetters]:
    """Group the dead letters of a queue by consumer, reason and answer of the target: the number of each group, since
    when, and the rate.

    The service reads the first messages, and returns them to their queue, marked as redelivered. Use `filter.group` to
    read, replay, move or delete the messages of one group."""
    return Reply(services.dead_letters.groups(query.dead_letter_queue, query.examine))


@api.get("/exportDeadLetters", role="operator", touches=_LETTERS, media=NDJSON, refuses=LOOK)
def export_dead_letters(query: ExportQuery) -> Response:
    """Get dead letters with their whole bodies, as NDJSON: one message per line, in the form of `POST /getMessages`.
    They stay in their queue.

    The export has the first 10,000 messages of the queue and 64 MiB of bodies at most."""
    wanted = DeadLetterFilter(group=(query.group,) if query.group else ())
    found = services.dead_letters.export(query.dead_letter_queue, wanted)
    return Response(
        b"".join(to_json(one, by_alias=True) + b"\n" for one in found), content_type=f"{NDJSON}; charset=utf-8"
    )


@api.post("/replayDeadLetters", **_BEGINNING)
def replay_dead_letters(body: ReplayRequest) -> Reply[Replay]:
    """Publish dead letters to their queues again: all of them, or those that match a filter.

    The answer is 202 with a `replayId`; get the progress with `GET /getReplay`. A `dryRun` answers 200 with the count,
    the `destinations`, and `warnings` if the messages would fail again. An interrupted replay loses no message: the
    remaining ones stay in the dead-letter queue. Each message goes back to the queue that it came from, with all its
    attempts restored and the header `x-replayed-at`. Messages of queues that the API key may not access stay, and are
    counted as `skipped`."""
    return _begun(body)


@api.post("/moveDeadLetters", **_BEGINNING)
def move_dead_letters(body: MoveRequest) -> Reply[Replay]:
    """Move dead letters to another queue, with their reasons: all of them, or those that match a filter.

    The answers are those of `POST /replayDeadLetters`. A dead letter is removed after the broker has confirmed it in
    the other queue."""
    return _begun(body)


@api.post("/deleteDeadLetters", **_BEGINNING)
def delete_dead_letters(body: DeleteRequest) -> Reply[Replay]:
    """Delete dead letters for good: all of them, or those that match a filter.

    The answers are those of `POST /replayDeadLetters`."""
    return _begun(body)


def _begun(body: DeadLetterSelection) -> Reply[Replay]:
    replay = services.replays.begin(body, caller().queues, caller().username, recorder(body))
    return Reply(replay, status=200 if body.dry_run else 202)


@api.get("/getReplay", role="viewer", touches=Touches(_queues_of), refuses=("404 not_found",))
def get_replay(query: WhichReplay) -> Reply[Replay]:
    """Get a replay, a move or a deletion with its progress."""
    return Reply(services.replays.get(query.replay_id))
