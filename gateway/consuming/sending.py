"""Sends deliveries: builds each request, waits for its payload and its credentials, and passes on the one answer."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import structlog

from delivery.request import Request, RequestBuilder
from delivery.unsendable import Failed, Unsendable
from domain.outcome import Answer
from domain.registry import Subscription
from gateway.consuming.observers import Spans
from gateway.consuming.session import Delivery
from gateway.consuming.wiring import Wiring
from gateway.rendering.requests import built, make

log = structlog.get_logger("workerrmq.delivery")


class Owner(Protocol):
    """The part of the settlement that its sending calls."""

    def may_send(self, delivery: Delivery) -> bool:
        """Return whether the consumer still has this definition, and a delivery may be sent now."""

    def not_sent(self, delivery: Delivery) -> None:
        """Called instead of `answered` if no request was sent."""

    def answered(self, delivery: Delivery, answer: Answer) -> None:
        """Settle a delivery by the answer to its attempt, or by the failure that stands for it."""


class Resender(Protocol):
    """The part of the consumer that sending calls."""

    def send_again(self, *batches: list[Delivery]) -> None:
        """Send deliveries before all others, by the consumer's present definition; or hold them or give them back."""


class Sending:
    """Sends for one revision of a consumer. Owned by the loop's thread."""

    def __init__(
        self,
        owner: Owner,
        resender: Resender,
        wiring: Wiring,
        subscription: Subscription,
        spans: Spans | None,
    ) -> None:
        self._owner, self._resender, self._renderer, self._spans = owner, resender, wiring.renderer, spans
        self._who = subscription.spec.who
        self._requests = RequestBuilder(subscription.spec, subscription.retiring_secrets)
        self._target = wiring.http.target(subscription.spec)
        self._waits = self._target.waits

    def send(self, delivery: Delivery) -> None:
        """Start the attempt of a delivery; its answer settles the delivery."""
        delivery.awaited = True
        requests, source, attempt = self._requests, delivery.source, delivery.attempt
        try:
            if requests.template is None:
                self._start(delivery, built(requests, source, attempt))
            else:
                make(requests, self._renderer, source, attempt, partial(self._rendered, delivery))
        except Exception as exc:  # noqa: BLE001 - _crashed logs it
            self._crashed(delivery, exc)

    def _rendered(self, delivery: Delivery, request: Request | Unsendable) -> None:
        if not self._wanted(delivery):
            return
        try:
            self._start(delivery, request)
        except Exception as exc:  # noqa: BLE001 - _crashed logs it
            self._crashed(delivery, exc)

    def _start(self, delivery: Delivery, request: Request | Unsendable) -> None:
        if isinstance(request, Unsendable):
            self._answered(delivery, request.answer)
            return
        headers, body, url = request
        if self._spans is not None:
            headers = self._spans.start(delivery, headers)
        wanted = partial(self._wanted, delivery) if self._waits else None
        self._target.send(headers, body, partial(self._answered, delivery), url, wanted)

    def _wanted(self, delivery: Delivery) -> bool:
        """Return whether to send a delivery that has waited for its payload or a token. Meanwhile its channel may have
        closed, the breaker opened, or the consumer stopped or changed; then the consumer decides again."""
        if not delivery.awaited:
            return False
        if self._owner.may_send(delivery):
            return True
        delivery.awaited = False
        self._owner.not_sent(delivery)
        if delivery.open and not delivery.abandoned:
            self._resender.send_again([delivery])
        return False

    def _answered(self, delivery: Delivery, answer: Answer) -> None:
        if delivery.awaited:  # a second answer to an attempt must not settle it again
            delivery.awaited = False
            self._owner.answered(delivery, answer)

    def _crashed(self, delivery: Delivery, exc: Exception) -> None:
        """Give back a delivery after an exception, which is a failure of the service."""
        log.error("delivery_crashed", message_id=delivery.source.message_id, **self._who, exc_info=exc)
        self._answered(delivery, Failed.by(exc).answer)
