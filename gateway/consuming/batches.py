"""Sends batches, and settles each of their messages by the answer.

A message is dead-lettered only after it was sent alone, or if the answer names it. So when an answer would dead-letter
messages of a batch, they are sent again, uncharged, in smaller batches.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from functools import partial

from delivery.batch import BatchBuilder, Named, Unreadable, failures
from delivery.fate import Fate
from delivery.request import Content
from delivery.unsendable import Unsendable
from domain.outcome import Answer, Outcome
from domain.registry import Subscription
from gateway.consuming.batch_dispatcher import BatchDispatcher
from gateway.consuming.session import Delivery
from gateway.consuming.settlement import Settlement
from gateway.rendering.renderer import Renderer
from gateway.rendering.requests import make_content

_DEAD = (Fate.REJECT, Fate.EXHAUST, Fate.EXPIRE)


class Batches:
    """Sends the batches of one revision of a consumer. Owned by the loop's thread."""

    def __init__(
        self, settlement: Settlement, subscription: Subscription, dispatcher: BatchDispatcher, renderer: Renderer
    ) -> None:
        assert subscription.spec.batch is not None
        self._settlement, self._dispatcher, self._renderer = settlement, dispatcher, renderer
        self._builder = BatchBuilder(subscription.spec, subscription.retiring_secrets)
        self._each = subscription.spec.batch.answers == "each"

    def send(self, batch: list[Delivery]) -> None:
        """Start the request of a batch; its answer settles the messages."""
        elements: dict[int, bytes | Answer] = {}

        def made(place: int, content: Content | Unsendable) -> None:
            elements[place] = self._element(batch[place], content)
            if len(elements) == len(batch):
                self._start(batch, [elements[place] for place in range(len(batch))])

        for place, delivery in enumerate(batch):
            make_content(
                self._settlement.requests, self._renderer, delivery.source, delivery.attempt, partial(made, place)
            )

    def _element(self, delivery: Delivery, content: Content | Unsendable) -> bytes | Answer:
        """Return a message's part of the body, or the answer by which to settle it."""
        if isinstance(content, Unsendable):
            return content.answer
        try:
            return self._builder.element(delivery.source, content)
        except Unsendable as exc:
            return exc.answer

    def _start(self, batch: list[Delivery], elements: list[bytes | Answer]) -> None:
        """Send the messages that can be sent, as far as `maxBytes` allows. The first of them stands for the request."""
        probe, began = batch[0].probe, batch[0].began
        bodies: list[bytes] = []
        sent: list[Delivery] = []
        for delivery, element in zip(batch, elements, strict=True):
            if isinstance(element, bytes) and delivery.open:
                bodies.append(element)
                sent.append(delivery)
        if sent:
            batch[0].probe, batch[0].began = False, None
            sent[0].probe, sent[0].began = probe, began
            count, request = self._builder.request(bodies, time.time())
            headers = self._settlement.traced(sent[0], request.headers)
            if count < len(sent):
                self._dispatcher.again(sent[count:])
            self._settlement.target.send(headers, request.body, partial(self._answered, sent[:count]))
        for delivery, element in zip(batch, elements, strict=True):
            if isinstance(element, Answer):
                self._settlement.answered(delivery, element)

    def _answered(self, batch: list[Delivery], answer: Answer) -> None:
        outcome, named = self._settlement.outcome(answer), dict[int, Named]()
        if self._each and outcome is Outcome.SUCCESS:
            try:
                named = failures(answer, [delivery.source.message_id for delivery in batch])
            except Unreadable as exc:
                outcome, answer = Outcome.RETRY, answer._replace(detail=str(exc))
        situation = self._settlement.heard(batch[0], answer, outcome)
        alone: list[Delivery] = []
        stopped: set[Hashable] = set()  # keys with a message that waits for its next attempt
        for place, delivery in enumerate(batch):
            its_outcome, its_answer = named.get(place, (outcome, answer))
            fate = self._settlement.fate(delivery, its_outcome, situation)
            dead = fate in _DEAD and place not in named and len(batch) > 1
            if self._dispatcher.ordered and (
                delivery.key in stopped or (not dead and any(one.key == delivery.key for one in alone))
            ):
                self._dispatcher.put_back(delivery)
            elif dead:
                alone.append(delivery)
            else:
                if fate is Fate.RETRY:
                    stopped.add(delivery.key)
                self._settlement.settle(delivery, its_answer, fate)
        if not alone:
            return
        half = len(alone) // 2 if len(alone) == len(batch) else 0
        self._dispatcher.again(alone[:half], alone[half:])
