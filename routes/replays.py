"""Dead letters back to their queues: POST /replayDeadLetters, GET /getReplay."""

from __future__ import annotations

from pydantic import Field

from domain.errors import NotFound
from domain.replay import Replay, ReplayRequest
from middlewares.auth import caller
from routes.api import Api, Reply, services
from routes.inputs import Query
from routes.scope import Touches

api = Api("replays")


class WhichReplay(Query):
    """One replay, by the id that it was given."""

    replay_id: str = Field(min_length=1, max_length=100)


def _queues_of(query: WhichReplay) -> list[str | None]:
    try:
        replay = services.replays.get(query.replay_id)
    except NotFound:  # not to be told from one of another queue
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
    refuses=(404, 409),
)
def replay_dead_letters(body: ReplayRequest) -> Reply:
    """Send dead letters back to their queue: all, or those that a filter describes.

    Answers at once with 202 and an id to ask for the progress by; a `dryRun` answers 200 with the count. Nothing is
    lost when it is interrupted: what was not replayed is still a dead letter. A message that is replayed starts anew,
    with all its attempts, and `x-replayed-at` among its headers. Each goes back to the queue that it came from: those
    of queues that the API key may not touch stay, and are counted as `skipped`.
    """
    replay = services.replays.begin(body, caller().queues)
    return Reply(replay, status=200 if body.dry_run else 202)


@api.get("/getReplay", role="viewer", touches=_ITS_REPLAY, query=WhichReplay, answer=Replay, refuses=(404,))
def get_replay(query: WhichReplay) -> Reply:
    """How far a replay has come."""
    return Reply(services.replays.get(query.replay_id))
