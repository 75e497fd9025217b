"""The log of delivery attempts, and the life of one message: from this log, the audit log, the records of scheduled
messages and, if asked for, a look into one queue. Reads a bounded number of entries and messages; changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from delivery.copies import Source
from delivery.provenance import Provenance, provenance
from domain.attempt import Attempt, AttemptFilter, Result, details_of
from domain.audit import AuditEntry
from domain.dead_letter import MAX_EXAMINED, cause_of, died_at
from domain.details import Page
from domain.message_life import MessageEvent, MessageLife, MessagePlace, PlaceState
from domain.queue_scope import QueueScope
from domain.schedule import Scheduled
from domain.selection import Order
from gateway.amqp.held_messages import HeldMessages
from gateway.mongo.attempts import Attempts
from gateway.mongo.audit import AuditEntries
from gateway.mongo.scheduled import ScheduledMessages

_TOLD: Mapping[Result, tuple[PlaceState, str]] = {
    "delivered": ("delivered", "Attempt {attempt}: {reason}. The message is delivered."),
    "retried": ("waiting", "Attempt {attempt} failed: {reason}. The message waits for its retry."),
    "requeued": ("queued", "Attempt {attempt} failed: {reason}. The message went back to its queue, uncharged."),
    "rejected": ("deadLettered", "Attempt {attempt} failed: {reason}. Dead-lettered{to}: the target rejects it."),
    "exhausted": ("deadLettered", "Attempt {attempt} failed: {reason}. Dead-lettered{to}: no attempt is left."),
    "expired": ("deadLettered", "Attempt {attempt} failed: {reason}. Dead-lettered{to}: it is too old."),
    "filtered": ("deadLettered", "Dead-lettered{to}: the filter of the consumer does not match."),
    "forwarded": ("forwarded", "Published elsewhere: the filter of the consumer does not match."),
    "discarded": ("discarded", "Acked without a request: the filter of the consumer does not match."),
    "routed": ("routed", "Routed{to}."),
    "replayed": ("queued", "Replayed {reason}{by}."),
    "moved": ("moved", "Moved {reason}{to}{by}."),
    "deleted": ("deleted", "Deleted {reason}{by}."),
}
"""The state after each result, and its sentence."""

_UNKNOWN = (
    "The attempt log has no entry of this message. The log keeps failures and the success after a failure for seven "
    "days, and one in a hundred of the other successes. The message may be delivered at its first attempt, wait in a "
    "queue, or be unknown. Scheduled messages are found by their records, which are kept until one day after they were "
    "due; the delay levels are not searched. RabbitMQ cannot search all queues: name a queue to look into (lookIn)."
)


class _Look(NamedTuple):
    queue: str
    total: int
    examined: int
    found: Source | None
    position: int


class Deliveries:
    """Thread-safe. Every method raises StoreUnavailable."""

    def __init__(
        self,
        attempts: Attempts,
        audit: AuditEntries,
        scheduled: ScheduledMessages,
        held: HeldMessages,
        *,
        most: int = 500,
    ) -> None:
        """Read at most the latest `most` entries of a message."""
        self._attempts, self._audit, self._scheduled, self._held = attempts, audit, scheduled, held
        self._most = most

    def page(self, wanted: AttemptFilter, order: Order, number: int, size: int) -> Page[Attempt]:
        """Return page `number` (from 1) of the attempts that match, in `order`."""
        return self._attempts.find(wanted, order, number, size)

    def life(self, message_id: str, only: QueueScope | None, look_in: str | None, *, answers: bool) -> MessageLife:
        """Return the life of a message in the queues that `only` admits; with the targets' answers if `answers`. If
        `look_in` names a queue, look for the message among its first MAX_EXAMINED, and raise what HeldMessages.examine
        raises."""
        page = self._attempts.find(AttemptFilter(message_id=message_id, only=only), Order(), 1, self._most)
        log = page.items[::-1]
        look = self._look(look_in, message_id) if look_in is not None else None
        places = {place.queue_name: place for place in map(_place_after, log)}
        events = [*_publications(log, look), *(_event(one, answers) for one in log)]
        scheduled = self._admitted(message_id, only)
        events += map(_schedule, scheduled)
        waiting = [one for one in scheduled if one.due > datetime.now(UTC)]
        places |= {one.queue: _delayed(one) for one in waiting if not one.exchange}
        notes = [] if page.total == len(log) else [f"Only the latest {len(log)} of {page.total} entries are shown."]
        if look is not None:
            events += _looked(look, places)
            notes.append(_sentence(look))
        events += self._purged(places, only)
        if not places and not waiting:
            notes.append(_UNKNOWN)
        notes += filter(None, map(_note, places.values()))
        return MessageLife(
            message_id=message_id,
            places=sorted(places.values(), key=lambda place: place.since, reverse=True),
            events=sorted(events, key=lambda event: event.at),
            notes=notes,
        )

    def _admitted(self, message_id: str, only: QueueScope | None) -> list[Scheduled]:
        found = self._scheduled.find(message_id)
        return [one for one in found if only is None or (not one.exchange and only.admits(one.queue))]

    def _look(self, queue: str, message_id: str) -> _Look:
        found: list[tuple[int, Source]] = []
        seen = 0

        def see(source: Source) -> None:
            nonlocal seen
            seen += 1
            if source.message_id == message_id and not found:
                found.append((seen, source))

        total, examined = self._held.examine(queue, MAX_EXAMINED, see)
        position, source = found[0] if found else (0, None)
        return _Look(queue, total, examined, source, position)

    def _purged(self, places: dict[str, MessagePlace], only: QueueScope | None) -> Iterator[MessageEvent]:
        """Yield the events in which a queue was purged or deleted with the message, and change its place."""
        holders = {place.queue_name: _holder(place) for place in places.values() if not place.found}
        names = {name for name in holders.values() if name is not None and (only is None or only.admits(name))}
        if not names:
            return
        removals = self._audit.removals(sorted(names), min(places[queue].since for queue in holders))
        for queue, holder in holders.items():
            for entry in removals:
                if holder in names.intersection(entry.resource.values()) and entry.at >= places[queue].since:
                    places[queue] = places[queue].model_copy(update={"state": "purged", "since": entry.at})
                    yield _purge(entry, holder)
                    break


def _holder(place: MessagePlace) -> str | None:
    """Return the queue that holds the message; None if none does, or if only RabbitMQ knows it."""
    if place.state in ("deadLettered", "moved"):
        return place.destination
    return place.queue_name if place.state == "queued" else None


def _place_after(one: Attempt) -> MessagePlace:
    state = _TOLD[one.result][0]
    due = one.next_at if state == "waiting" else None
    if due is not None and due <= datetime.now(UTC):
        state = "queued"
    return MessagePlace(queue_name=one.queue, state=state, since=one.at, due_at=due, destination=one.destination)


def _event(one: Attempt, answers: bool) -> MessageEvent:
    to, by = one.destination and f" to {one.destination}", one.by and f" by {one.by}"
    text = _TOLD[one.result][1].format(attempt=one.attempt, reason=one.reason, to=to or "", by=by or "")
    details = details_of(one, answers=answers)
    return MessageEvent(at=one.at, event=one.result, queue_name=one.queue, by=one.by, text=text, attempt=details)


def _publications(log: Sequence[Attempt], look: _Look | None) -> Iterator[MessageEvent]:
    """Yield an event for each time and publisher that the message has told: it may have been published twice."""
    told = {Provenance(one.published_at, one.published_by, one.scheduled_for) for one in log}
    if look is not None and look.found is not None:
        told.add(provenance(look.found.properties, time.time()))
    for published_at, publisher, due in told:
        by = f" by {publisher}" if publisher else ""
        # A scheduled message that its publisher gave no timestamp has the time of its arrival, in whole seconds.
        if published_at is not None and (due is None or published_at.timestamp() < int(due.timestamp())):
            yield MessageEvent(at=published_at, event="published", by=publisher, text=f"Published{by}.")
        if due is not None:
            yield MessageEvent(at=due, event="scheduled", by=publisher, text=f"Arrived: it was scheduled{by}.")


def _schedule(one: Scheduled) -> MessageEvent:
    to, by = f"the exchange {one.exchange}" if one.exchange else one.queue, f" by {one.by}" if one.by else ""
    text = f"Scheduled{by} for {to}, at {one.due:%Y-%m-%d %H:%M:%S} UTC."
    return MessageEvent(at=one.at, event="scheduled", by=one.by, text=text)


def _delayed(one: Scheduled) -> MessagePlace:
    return MessagePlace(queue_name=one.queue, state="scheduled", since=one.at, due_at=one.due)


def _looked(look: _Look, places: dict[str, MessagePlace]) -> Iterable[MessageEvent]:
    """Return the dead-lettering that a found message tells, if the log does not have it; and change its places."""
    for queue, place in places.items():
        if _holder(place) == look.queue:
            places[queue] = place.model_copy(update={"found": look.found is not None})
    if look.found is None or any(place.found for place in places.values()):
        return []
    headers = look.found.properties.headers or {}
    cause, at = cause_of(headers), died_at(headers)
    if cause.queue is None or at is None or cause.outcome == "published":
        now = datetime.now(UTC)
        places[look.queue] = MessagePlace(queue_name=look.queue, state="queued", since=now, found=True)
        return []
    place = MessagePlace(queue_name=cause.queue, state="deadLettered", since=at, destination=look.queue, found=True)
    places[cause.queue] = place
    why = ": ".join(filter(None, (cause.outcome, cause.reason, cause.answer)))
    text = f"Dead-lettered to {look.queue}: {why}."
    return [MessageEvent(at=at, event="deadLettered", queue_name=cause.queue, text=text)]


def _purge(entry: AuditEntry, queue: str | None) -> MessageEvent:
    what = "deleted" if entry.action == "deleteQueue" else "purged"
    text = f"{entry.user} {what} the queue {queue}, which held the message."
    return MessageEvent(at=entry.at, event="purged", queue_name=queue, by=entry.user, text=text)


def _sentence(look: _Look) -> str:
    if look.found is not None:
        return f"The message is in {look.queue}, at position {look.position} of {look.total}."
    return f"The message is not among the first {look.examined} of {look.total} ready messages in {look.queue}."


def _note(place: MessagePlace) -> str | None:
    if place.state == "queued" and not place.found:
        late = "Its retry was due, and no later attempt" if place.due_at else "No later attempt"
        return (
            f"{late} from {place.queue_name} is recorded. The message waits in the queue, a worker has it in flight, "
            "or another client has taken it."
        )
    if place.state == "deadLettered" and place.destination is None:
        return f"The dead-letter exchange of {place.queue_name} decides to which queue the dead letter went."
    return None
