"""How long an exchange that refused a copy gets no other."""

from __future__ import annotations

import pytest

from delivery.exchange_pauses import ExchangePauses
from domain.errors import BrokerTimeout, PublishRefused, PublishUnconfirmed, Unroutable, Unwritable, WorkerError
from domain.message import Message

REFUSED = PublishRefused("a queue is full")
COPY = Message("key", b"body", "exchange")


def published_at(pauses: ExchangePauses, seconds: int) -> list[int]:
    """Offer a copy once a second, which the broker refuses; return when it was published."""
    times = []
    for now in range(seconds):
        if pauses.objection(COPY, now) is None:
            times.append(now)
            pauses.answered(COPY, REFUSED, now)
    return times


def test_the_pause_doubles_up_to_the_longest() -> None:
    assert published_at(ExchangePauses(5, 60), 300) == [0, 5, 15, 35, 75, 135, 195, 255]


def test_one_copy_at_a_time_is_published_after_a_refusal() -> None:
    pauses = ExchangePauses(5, 60)
    for _ in range(3):
        pauses.answered(COPY, REFUSED, 0)
    assert pauses.objection(COPY, 5) is None
    objection = pauses.objection(COPY, 5)
    assert objection is not None
    assert objection.detail == "a queue is full"


def test_an_accepted_message_ends_the_pause() -> None:
    pauses = ExchangePauses(5, 60)
    assert published_at(pauses, 30) == [0, 5, 15]
    pauses.answered(COPY, None, 30)
    assert pauses.objection(COPY, 30) is pauses.objection(COPY, 30) is None
    pauses.answered(COPY, REFUSED, 30)
    assert pauses.objection(COPY, 34) is not None
    assert pauses.objection(COPY, 35) is None


@pytest.mark.parametrize(
    ("message", "error", "pauses"),
    [
        (COPY, BrokerTimeout("not confirmed in time"), True),
        (COPY, PublishUnconfirmed("the connection was lost"), False),
        (COPY, Unroutable("no queue is bound"), False),
        (COPY, Unwritable("the headers are too large"), False),
        (Message("queue", b"body"), REFUSED, False),
        (Message("queue", b"body", "workerrmq.due"), REFUSED, False),
    ],
)
def test_only_an_exchange_that_may_have_stored_the_copy_pauses(
    message: Message, error: WorkerError, pauses: bool
) -> None:
    known = ExchangePauses(5, 60)
    known.answered(message, error, 0)
    assert (known.objection(message, 1) is not None) == pauses
    assert known.objection(Message("other key", b"body", "exchange"), 1) is None
