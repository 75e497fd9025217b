"""Sends batches, and settles each of their messages by the answer.

A message is dead-lettered only after it was sent alone, or if the answer names it. So when an answer would dead-letter
messages of a batch, they are sent again, uncharged, in smaller batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import structlog

from delivery.batch import BatchBuilder, Named, Unreadable, failures
from delivery.fate import Fate
from delivery.request import Content, RequestBuilder
from delivery.unsendable import Failed, Unsendable
from domain.outcome import Answer, Outcome
from domain.registry import Subscription
from gateway.consuming.observers import Spans
from gateway.consuming.session import Delivery
from gateway.consuming.wiring import Wiring
from gateway.rendering.requests import make_content

if TYPE_CHECKING:
    from gateway.consuming.settlement import Owner, Settlement

log = structlog.get_logger("workerrmq.delivery")

_DEAD = (Fate.REJECT, Fate.EXHAUST, Fate.EXPIRE)


class Batches:
    """Sends the batches of one revision of a consumer. Owned by the loop's thread."""

    def __init__(
        self, settlement: Settlement, owner: Owner, wiring: Wiring, subscription: Subscription, spans: Spans | None
    ) -> None:
        spec = subscription.spec
        assert spec.batch is not None
        self._settlement, self._owner, self._renderer, self._spans = settlement, owner, wiring.renderer, spans
        self._who = spec.who
        self._requests = RequestBuilder(spec, subscription.retiring_secrets)
        self._builder = BatchBuilder(spec, subscription.retiring_secrets)
        self._target = wiring.http.target(spec)
        self._each, self._ordered = spec.batch.answers == "each", spec.ordering != "none"

    def send(self, batch: list[Delivery]) -> None:
        """Start the request of a batch; its answer settles the messages."""
        for delivery in batch:
            delivery.awaited = True
        self._contained(batch, self._make)

    def _make(self, batch: list[Delivery]) -> None:
        """Make the payloads, at once or, with a template, later."""
        contents: dict[int, Content | Unsendable] = {}

        def made(place: int, content: Content | Unsendable) -> None:
            contents[place] = content
            if len(contents) == len(batch) and (self._requests.template is None or self._wanted(batch)):
                self._contained(batch, self._start, [contents[place] for place in range(len(batch))])

        for place, one in enumerate(batch):
            make_content(self._requests, self._renderer, one.source, one.attempt, partial(made, place))

    def _start(self, batch: list[Delivery], contents: list[Content | Unsendable]) -> None:
        """Send the messages that can be sent, as far as `maxBytes` allows. The first of them stands for the request, as
        the first of the batch did so far."""
        elements: list[bytes] = []
        sent: list[Delivery] = []
        unsendable: list[tuple[Delivery, Unsendable]] = []
        for delivery, content in zip(batch, contents, strict=True):
            element = self._builder.element(delivery.source, content)
            if isinstance(element, Unsendable):
                unsendable.append((delivery, element))
            else:
                elements.append(element)
                sent.append(delivery)
        if sent and sent[0] is not batch[0]:
            batch[0].hand_over(sent[0])
        if sent:
            left = iter(sent)
            sent, *rest = [list(islice(left, count)) for count in self._builder.counts(elements)]
            headers, body, url = self._builder.request(elements[: len(sent)], time.time())
            if self._spans is not None:
                headers = self._spans.start(sent[0], headers)
            self._target.send(headers, body, partial(self._answered, sent), url, partial(self._wanted, sent))
            self._send_again(*rest)
        for delivery, element in unsendable:
            delivery.awaited = False
            self._settlement.answered(delivery, element.answer)

    def _wanted(self, batch: list[Delivery]) -> bool:
        """Return whether to send a batch that has waited for its payloads or a token; see Sending."""
        if not batch[0].awaited:
            return False
        if self._settlement.may_send(batch[0]):
            return True
        self._settlement.not_sent(batch[0])
        self._send_again(batch)
        return False

    def _send_again(self, *batches: list[Delivery]) -> None:
        for delivery in (one for batch in batches for one in batch):
            delivery.awaited = False
        still = [[one for one in batch if one.open and not one.abandoned] for batch in batches]
        self._owner.send_again(*(batch for batch in still if batch))

    def _answered(self, batch: list[Delivery], answer: Answer) -> None:
        if batch[0].awaited:  # a second answer to a request must not settle its messages again
            self._contained(batch, self._settle, answer)

    def _settle(self, batch: list[Delivery], answer: Answer) -> None:
        outcome, named = self._settlement.outcome(answer), dict[int, Named]()
        if self._each and outcome is Outcome.SUCCESS:
            try:
                named = failures(answer, [delivery.source.message_id for delivery in batch])
            except Unreadable as exc:
                outcome, answer = Outcome.RETRY, answer._replace(detail=str(exc))
        situation = self._settlement.heard(batch[0], answer, outcome)
        alone: list[Delivery] = []
        lone: set[Hashable] = set()  # their keys
        stopped: set[Hashable] = set()  # keys with a message that waits for its next attempt
        for place, delivery in enumerate(batch):
            its_outcome, its_answer = named.get(place, (outcome, answer))
            fate = self._settlement.fate(delivery, its_outcome, situation)
            dead = fate in _DEAD and place not in named and len(batch) > 1
            delivery.awaited = False
            if self._ordered and (delivery.key in stopped or (delivery.key in lone and not dead)):
                if fate is not Fate.FORGET:
                    self._owner.put_back(delivery)
            elif dead:
                alone.append(delivery)
                lone.add(delivery.key)
            else:
                if fate is Fate.RETRY:
                    stopped.add(delivery.key)
                self._settlement.settle(delivery, its_answer, fate)
        half = len(alone) // 2 if len(alone) == len(batch) else 0
        self._send_again(alone[:half], alone[half:])

    def _contained(self, batch: list[Delivery], step: Callable[..., None], *arguments: Any) -> None:
        """Take a step of an attempt. After an exception, which is a failure of the service, give back the messages that
        are not settled."""
        try:
            step(batch, *arguments)
        except Exception as exc:
            log.exception("delivery_crashed", message_id=batch[0].source.message_id, **self._who)
            self._settlement.not_sent(batch[0])
            for delivery in batch:
                if delivery.awaited:
                    delivery.awaited = False
                    self._settlement.answered(delivery, Failed.by(exc).answer)
