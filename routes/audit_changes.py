"""The table of the operations that change something: how to read the state of the object before and after a request,
for the audit log. Reads only; audit.py is the only caller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from domain.audit import State
from domain.consumer_changes import WhichConsumer
from domain.errors import NotFound, WorkerError
from domain.model import MASK, Model
from middlewares.auth import caller
from services.bundle import Services

Before = Callable[[Services, Any], State | None]
"""Returns the state of the object that a validated body names; None, or NotFound, if it does not exist."""

After = Callable[[Services, Any, Any], State | None]
"""Also gets the content of the answer."""


class Watch(NamedTuple):
    """How to read what an operation changes. Without `before`, the operation creates an object unless it answers 200.
    Without `after`, it removes what `before` reads."""

    before: Before | None = None
    after: After | None = None


def _given(_services: Services, body: Model, _content: Any = None) -> State:
    """Return the fields of the body that do not have their defaults, with masked secrets."""
    return _state(body.model_dump(by_alias=True, mode="json", exclude_defaults=True))


def _state(shown: dict[str, Any]) -> State:
    return State(shown, shown)


def _changed(read: Before) -> Watch:
    return Watch(read, lambda services, body, _content: read(services, body))


def _messages(services: Services, body: Any) -> State:
    return _state({"messages": services.queues.get(body.queue_name).messages})


def _consumer(services: Services, body: WhichConsumer) -> State:
    return services.consumers.state_of(body)


def _new_consumer(services: Services, _body: Any, content: Any) -> State:
    return services.consumers.state_of(WhichConsumer(name=content["consumer"].name))


def _user(services: Services, body: Any, _content: Any = None) -> State:
    return services.users.state_of(body.username)


_DRY_RUN = _state({"dryRun": True})
"""It changes nothing, which its entry must tell."""


def _replay(services: Services, body: Any, content: Any) -> State:
    """Return the selection of dead letters, without the new body of an edited one."""
    if body.dry_run:
        return _DRY_RUN
    masked = {} if getattr(body, "replacement", None) is None else {"replacement": MASK}
    return _state({"replayId": content.replay_id, **_given(services, body).shown, **masked})


def _taken(_services: Services, body: Any, content: Any) -> State:
    taken = {} if body.ack_mode == "peek" else {"messages": len(content)}
    return _state({"ackMode": body.ack_mode, **taken})


def _applied(_services: Services, body: Any, content: Any) -> State:
    """Return the number of steps by their result. Each step that changes an object also has a separate entry."""
    if body.dry_run:
        return _DRY_RUN
    steps = Counter(step.state for step in content.steps)
    label = body.configuration.label
    return _state({**({"label": label} if label else {}), **({"prune": True} if body.prune else {}), **steps})


def _nothing(_services: Services, _body: Any) -> None:
    return None


_CREATED = Watch(after=_given)
_REPLAYED = Watch(_nothing, _replay)

WATCHES = {
    "createQueue": _CREATED,
    "purgeQueue": Watch(_messages),
    "deleteQueue": Watch(lambda services, body: services.queues.state_of(body.queue_name)),
    "createExchange": _CREATED,
    "deleteExchange": Watch(lambda services, body: services.exchanges.state_of(body.exchange)),
    "bindQueue": _CREATED,
    "unbindQueue": Watch(_given),
    "createPolicy": _changed(lambda services, body: services.policies.state_of(body.name)),
    "deletePolicy": Watch(lambda services, body: services.policies.state_of(body.name)),
    "getMessages": Watch(_nothing, _taken),
    "replayDeadLetters": _REPLAYED,
    "moveDeadLetters": _REPLAYED,
    "deleteDeadLetters": _REPLAYED,
    "createConsumer": Watch(after=_new_consumer),
    "updateConsumer": _changed(_consumer),
    "pauseConsumer": _changed(_consumer),
    "resumeConsumer": _changed(_consumer),
    "deleteConsumer": Watch(_consumer),
    "acknowledgeProblem": _changed(lambda services, body: services.problems.state_of(body)),
    "deleteAcknowledgement": Watch(lambda services, body: services.problems.state_of(body)),
    "closeConnection": Watch(lambda services, body: services.connections.state_of(body.connection_id)),
    "createUser": Watch(after=_user),
    "updateUser": _changed(_user),
    "deleteUser": Watch(_user),
    "changePassword": _changed(lambda services, _body: services.users.state_of(caller().username)),
    "createApiKey": _CREATED,
    "deleteApiKey": Watch(lambda services, body: services.api_keys.state_of(body.name)),
    "applyConfiguration": Watch(_nothing, _applied),
}

UNWATCHED = {"login", "logout", "messagePublish", "testConsumer"}
"""These change no object: a published message is in the life of the message (GET /getMessage)."""

UNKNOWN = State({}, {})
"""Of an object that could not be read. The request has its entry without changes."""


def read(of: Callable[[], State | None]) -> State | None:
    """Return the state; None if the object does not exist, and UNKNOWN if it cannot be read."""
    try:
        return of()
    except NotFound:
        return None
    except WorkerError:
        return UNKNOWN
