"""Builds dead letters, and the messages that replay or move them.

A dead letter keeps its history in headers (delivery/copies.py). A message without room for them becomes a bare dead
letter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from delivery.copies import (
    ATTEMPTS,
    BROKER_HEADERS,
    DEAD_LETTERED,
    FIRST_FAILED,
    NOT_ACTING,
    PREFIX,
    REPLAYED_AT,
    Source,
    attempts_charged,
    came_from,
    failed_copy,
    original,
    passed,
    times_dead_lettered,
    with_history,
)
from delivery.kept_answer import kept_headers, kept_sentence
from domain.consumer import ConsumerSpec
from domain.dead_letter import DEATHS
from domain.message import Message, PropertiesView
from domain.outcome import Answer
from domain.timestamps import as_text

MOST_DEAD_LETTERINGS = 16
"""Maximum number of times that a message is dead-lettered to the exchanges of its queues. Then it goes to our own
dead-letter queue, because they lead back to the queues."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """Attempts before the last one that are not in the message's headers, because an ordered consumer retries without a
    copy. `first_failed` is in Unix seconds."""

    attempts: int
    first_failed: float


def dead_letter(
    source: Source,
    consumer: ConsumerSpec,
    answer: Answer,
    outcome: str,
    address: tuple[str, str | None],
    now: float,
    earlier: Earlier | None = None,
) -> Message:
    """Return a copy for the dead-letter `address` (exchange, routing key; None: the message's own routing key).
    `outcome` is the reason: `rejected`, `exhausted`, `expired` or `filtered`."""
    exchange, routing_key = address[0], _dead_letter_key(source, address)
    times = times_dead_lettered(source.properties.headers) + 1
    extra: dict[str, Any] = {PREFIX + "outcome": outcome, DEAD_LETTERED: times}
    if sentence := kept_sentence(answer.body, consumer):
        extra[PREFIX + "answer"] = sentence
    if headers := kept_headers(answer, consumer):
        extra[PREFIX + "answer-headers"] = headers
    if outcome == "filtered":  # it was not sent, so no attempt is charged
        extra[ATTEMPTS] = attempts_charged(source.properties.headers, source.queue)
    if earlier:
        extra |= {ATTEMPTS: earlier.attempts + 1, FIRST_FAILED: as_text(earlier.first_failed)}
    return failed_copy(source, consumer.effective_name, answer, now, extra, exchange, routing_key)


def rejected(source: Source, by: str, queue: str, now: float) -> Message:
    """Return a copy for the dead-letter `queue` of a message that the user `by` rejected. No attempt is charged. `now`
    is in Unix seconds."""
    before, moment = source.properties.headers or {}, as_text(now)
    history = {
        ATTEMPTS: attempts_charged(before, source.queue),
        PREFIX + "outcome": "rejected",
        PREFIX + "reason": f"rejected by {by}",
        FIRST_FAILED: before.get(FIRST_FAILED, moment),
        PREFIX + "last-failed-at": moment,
    }
    return with_history(source, history, "", queue)


def leads_back(source: Source, address: tuple[str, str | None]) -> bool:
    """Return whether a dead letter for `address` would return to its own queue, in an endless cycle, or has been
    dead-lettered so often that it is in one. RabbitMQ drops no messages in cycles that include a rejection
    (https://www.rabbitmq.com/docs/dlx#routing)."""
    if times_dead_lettered(source.properties.headers) >= MOST_DEAD_LETTERINGS:
        return True
    return address[0] == "" and _dead_letter_key(source, address) == source.queue


def _dead_letter_key(source: Source, address: tuple[str, str | None]) -> str:
    if address[1] is not None:
        return address[1]
    return original(source.exchange, source.routing_key, source.properties)[1]


def bare_dead_letter(
    source: Source, address: tuple[str, str | None], *, persistent: bool = True, headers: bool = True
) -> Message:
    """Return a dead letter without its history, for a message whose headers leave no room for it in a frame.

    It is the message as published, without the headers and properties that the broker acts on. There may be no room for
    the `persistent` flag either, or for its own `headers`: the publisher's frames may be larger than ours.
    """
    _, came_with, sent = original(source.exchange, source.routing_key, source.properties)
    kept = {name: value for name, value in (sent.headers or {}).items() if headers and name not in BROKER_HEADERS}
    exchange, routing_key = address
    mode = 2 if persistent else sent.delivery_mode
    bare = replace(sent, headers=kept or None, **{**NOT_ACTING, "delivery_mode": mode})
    return Message(came_with if routing_key is None else routing_key, source.body, exchange, bare)


def replayed(properties: PropertiesView, body: bytes, queue: str, now: float) -> Message:
    """Return a dead letter as a new message for the queue that it came from (`queue` if its headers do not name one).

    The copy goes to no other queue: CC and BCC took effect when the message was published. It is always persistent, so
    that it is not lost. `now` is in Unix seconds.
    """
    _, _, sent = original("", "", properties)
    kept = {name: value for name, value in (sent.headers or {}).items() if name not in BROKER_HEADERS}
    headers = {**kept, REPLAYED_AT: as_text(now)}
    back = replace(sent, headers=headers, **NOT_ACTING)
    return Message(came_from(properties, queue), body, properties=back)


def moved(source: Source, queue: str) -> Message:
    """Return a dead letter for another queue, with its history. In the queue that it came from, it has all attempts
    again, as in any other. It is persistent and does not expire. The broker's
    death history moves into a header of ours, because RabbitMQ before 4.0 drops a message that would expire into a
    queue of that history (https://www.rabbitmq.com/docs/dlx#routing)."""
    copy = passed(queue, source.properties, source.body)
    headers = dict(copy.properties.headers or {})
    headers.pop(DEAD_LETTERED, None)
    if deaths := (source.properties.headers or {}).get("x-death"):
        headers[DEATHS] = deaths
    if attempts_charged(headers, queue):
        headers[ATTEMPTS] = 0
    return replace(copy, properties=replace(copy.properties, headers=headers or None))
