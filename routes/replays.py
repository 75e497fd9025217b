"""Replays of dead letters: POST /replayDeadLetters, GET /getReplay."""

from __future__ import annotations

from pydantic import Field

from domain.errors import NotFound
from domain.replay import Replay, ReplayRequest
from middlewares.auth import caller
from routes.api import Api, Reply, services
from routes.inputs import Query
from routes.refusals import QUEUE
from routes.scope import Touches

api = Api("replays")


class WhichReplay(Query):
    """Identifies a replay."""

    replay_id: str = Field(min_length=1, max_length=100, examples=["6f1ed002ab5595859014ebf0"])


def _queues_of(query: WhichReplay) -> list[str | None]:
    try:
        replay = services.replays.get(query.replay_id)
    except NotFound:  # the answer is the same as for a replay of a forbidden queue
        return [None]
    return [replay.queue_name, replay.dead_letter_queue]


def _both_queues(body: ReplayRequest) -> list[str]:
    return services.replays.queues_of(body)


_BOTH_QUEUES = Touches(_both_queues)
_ITS_REPLAY = Touches(_queues_of)


@api.post(
    "/replayDeadLetters",
    role="operator",
    idempotent=True,
    touches=_BOTH_QUEUES,
    body=ReplayRequest,
    answer=Replay,
    status=(200, 202),
    refuses=("400 stream_queue", "404 queue_not_found", "409 busy", "423 locked", *QUEUE),
)
def replay_dead_letters(body: ReplayRequest) -> Reply:
    """Publish dead letters to their queues again: all of them, or those that match a filter.

    The answer is 202 with a `replayId`; get the progress with `GET /getReplay`. A `dryRun` answers 200 with the count.
    An interrupted replay loses no message: the remaining ones stay in the dead-letter queue. Each message goes back to
    the queue that it came from, with all its attempts restored and the header `x-replayed-at`. Messages of queues that
    the API key may not access stay, and are counted as `skipped`."""
    replay = services.replays.begin(body, caller().queues)
    return Reply(replay, status=200 if body.dry_run else 202)


@api.get("/getReplay", role="viewer", touches=_ITS_REPLAY, query=WhichReplay, answer=Replay, refuses=("404 not_found",))
def get_replay(query: WhichReplay) -> Reply:
    """Get a replay with its progress."""
    return Reply(services.replays.get(query.replay_id))
