"""One consumer on the loop: its state, and what it does about it.

Its channel is in intake.py, acks in session.py, what may be sent when in dispatcher.py, outcomes in settlement.py.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import structlog

from delivery.copies import Source, attempts_charged, counts_returns, times_returned
from domain.outcome import Answer, ErrorClass
from domain.registry import Actual, Report, Subscription
from gateway.consuming.dispatcher import Dispatcher
from gateway.consuming.intake import Intake
from gateway.consuming.session import Delivery, Session
from gateway.consuming.settlement import Settlement
from gateway.consuming.tally import Tally
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")

_SPARED = 3
"""Returns of a delivery limit that are not used, at most."""

_PAUSED: frozenset[Actual] = frozenset({"resting", "breaker-open"})
"""States in which it sends nothing, of its own accord and for a while."""

_NOT_TAKING: frozenset[Actual] = _PAUSED | {"suspended", "draining"}
"""States in which it takes no messages."""


class Consumer:
    """Owned by the loop's thread. `connected`, `disconnected`, `change`, `drain` and `report` are the thread's to call,
    `breaker_*` the breaker's, `opened`, `arrived`, `late`, `undescribed`, `consuming`, `lost` and `idle` the intake's,
    the rest the settlement's.

    While it rests, or its breaker is open, it cancels and gives back what it has. Where that would cost the order of
    the messages, or their queue (one that expires when it has no consumer), it goes on to consume, and holds.
    """

    def __init__(self, wiring: Wiring, subscription: Subscription) -> None:
        self.wiring = wiring
        self.subscription = subscription
        self.breaker = wiring.breakers.of(subscription.spec)
        self.dispatcher = Dispatcher(wiring.loop, subscription, self._send)
        self.intake = Intake(wiring, self, subscription, ordered=self.dispatcher.ordered)
        self.settlement = Settlement(self, wiring, subscription, self.breaker)
        self._tally = Tally()
        self._held: list[Delivery] = []  # unsent, until the target or the consumer has rested
        self._state: Actual = "waiting"
        self._reason: str | None = "the broker is not connected"
        self._tries = 0
        self.losses = 0
        """how often it has lost the queue that it consumed"""
        self._drained: Callable[[], None] | None = None
        wiring.breakers.join(self, self.breaker)  # last: what cannot be made must not be told of it

    # --- what the thread calls -------------------------------------------------------------------------------------

    def connected(self, connection: Any) -> None:
        self.intake.connect(connection)
        if self._state not in ("suspended", "draining", "resting"):
            self._resume()

    def disconnected(self, reason: str) -> None:
        self.intake.connect(None)
        self._forget()
        if self._state not in ("suspended", "draining"):
            self._set("waiting", f"the broker is not connected: {reason}")
        self.idle()

    def change(self, subscription: Subscription) -> None:
        """Take up a new revision; what is in flight ends under the old one. Queue and ordering must be the same."""
        before, self.subscription = self.subscription, subscription
        self.intake.subscription = subscription
        if (before.revision, before.queue) == (subscription.revision, subscription.queue):
            self.dispatcher.change_rate(subscription)
            return
        breaker, counters = self.wiring.breakers.of(subscription.spec), self.settlement.counters
        self.settlement = Settlement(self, self.wiring, subscription, breaker)
        self.settlement.counters = counters
        if breaker is not self.breaker:
            self.wiring.breakers.leave(self, self.breaker)
            self.wiring.breakers.join(self, breaker)
            self.breaker = breaker
        self.dispatcher.change_rate(subscription)  # now, for it may send what waits
        if self._state in _NOT_TAKING | {"probing"} and before.revision != subscription.revision:
            self._resume()
        elif not before.queue.known:
            self._take()
        if not before.queue.described:
            self.intake.need_dead_letter_queue()
        if self.intake.consuming and self.intake.prefetch != self._prefetch:
            self._renew()

    def drain(self, drained: Callable[[], None]) -> None:
        """Take no more, finish what is in flight, close the channel, then call `drained`."""
        self._drained = drained
        self._set("draining", None)
        self.wiring.breakers.leave(self, self.breaker)
        self._stop_taking(self.idle)

    def verify(self) -> None:
        """See that retries come back to the queue."""
        self.intake.bind()

    def report(self) -> Report:
        counters = self.settlement.counters
        refused, copy_error = counters.refused()
        state, reason = self._state, self._reason
        if state == "running" and counters.failing:
            state = "failing"
        elif state in ("breaker-open", "probing"):
            state, reason = "throttled" if self.breaker.throttled else state, self.breaker.reason
        return Report(
            consumer_id=self.subscription.id,
            revision=self.subscription.revision,
            state=state,
            reason=reason,
            in_flight=self.intake.session.in_flight if self.intake.session else 0,
            delivered=counters.delivered,
            retried=counters.retried,
            dead_lettered=counters.dead_lettered,
            requeued=counters.requeued,
            last_status=counters.last_status,
            error=counters.error,
            error_at=counters.error_at,
            refused_copies=refused,
            copy_error=copy_error,
            **counters.recent.summary()._asdict(),
        )

    def tell(self) -> None:
        """Tell the instruments what was counted since the last call."""
        spec = self.subscription.spec
        self._tally.tell(spec.name or spec.queue_name, spec.queue_name, self.settlement.counters)

    # --- taking and not taking -------------------------------------------------------------------------------------

    @property
    def _keeps(self) -> bool:
        """Whether it holds messages where others give them back."""
        return self.dispatcher.ordered or self.subscription.queue.vanishes

    def _resume(self) -> None:
        """Take messages again, as far as the breaker allows."""
        if self.breaker.closed:
            self._set("running" if self.intake.consuming else "starting", None)
        elif self.breaker.half_open:
            self._set("probing", None)
        else:
            self._set("breaker-open", None)
        self._take()
        self._send_held()

    def _take(self) -> None:
        if self._state not in _NOT_TAKING or (self._state in _PAUSED and self.subscription.queue.vanishes):
            self.intake.take(self._prefetch)

    @property
    def _prefetch(self) -> int:
        return 1 if self._state == "probing" else self.subscription.spec.prefetch

    def _pause(self) -> None:
        """Send nothing more for a while."""
        if not self._keeps:
            self._stop_taking()

    def _stop_taking(self, then: Callable[[], None] = lambda: None) -> None:
        """Send nothing more of what has arrived: it goes back, now or (in order) with the channel."""
        session = self.intake.session
        back = [*self.dispatcher.drop(), *self._held]
        self.dispatcher.sending -= len(self._held)
        self._held.clear()
        if session is None:
            then()
        elif self.dispatcher.ordered:
            self.intake.leave()
            for delivery in sorted(back, key=lambda one: one.tag):
                self._save_from_limit(delivery)
            self._check_left()
        else:
            self.intake.cancel(then)
            for delivery in back:
                self._requeue(delivery)

    def _renew(self) -> None:
        """Consume anew: with another prefetch, or on another channel because this one has held messages for long."""
        self._stop_taking(self._take)

    def _end_rest(self) -> None:
        if self._state == "resting":
            self._resume()

    def breaker_opened(self) -> None:
        if self._state not in _NOT_TAKING:
            self._set("breaker-open", None)
            self._pause()

    def breaker_probes(self) -> None:
        if self._state == "breaker-open":
            self._resume()
        else:
            self._send_held()

    def breaker_closed(self) -> None:
        if self._state in ("probing", "breaker-open"):
            self._set("running", None)
            if self.intake.prefetch != self._prefetch:
                self._renew()
        self._send_held()

    def _watch(self, session: Session) -> None:
        """See that no message is held unsent for too long: for its turn, a token of the rate, or its target. RabbitMQ
        would close the channel, so before that everything goes back and is taken again."""
        held = self.wiring.periods.held
        if session is not self.intake.session:
            return
        oldest = min((one.arrived for one in (*self.dispatcher.unsent, *self._held)), default=None)
        if oldest is not None and time.monotonic() - oldest > held * 0.75 and not self.intake.leaving:
            self._renew()
        self.wiring.loop.call_later(held / 4, lambda: self._watch(session))

    def _send_held(self) -> None:
        held, self._held = self._held, []
        for delivery in held:
            self._send(delivery)

    # --- what the intake calls -------------------------------------------------------------------------------------

    def arrived(self, session: Session, method: Any, properties: Any, body: bytes) -> None:
        self.dispatcher.arrived(self._delivery(session, method, properties, body))

    def late(self, session: Session, method: Any, properties: Any, body: bytes) -> None:
        """A message came after it had stopped taking."""
        delivery = self._delivery(session, method, properties, body)
        if self.dispatcher.ordered:
            self._save_from_limit(delivery)
        else:
            self._requeue(delivery)

    def _delivery(self, session: Session, method: Any, properties: Any, body: bytes) -> Delivery:
        source = Source(
            self.subscription.spec.queue_name,
            method.exchange,
            method.routing_key,
            properties,
            body,
            properties.message_id or f"msg_{uuid.uuid4().hex}",
        )
        return Delivery(
            session, method.delivery_tag, source, attempts_charged(properties.headers) + 1, time.monotonic()
        )

    def undescribed(self) -> None:
        self._set("waiting", "RabbitMQ's management API has not described the queue yet.")

    def opened(self, session: Session) -> None:
        self._watch(session)

    def consuming(self) -> None:
        self._tries = 0
        if self._state not in _NOT_TAKING | {"probing"}:
            self._set("running", None)
            log.info("consumer_running", **self._who())

    def lost(self, code: int, reason: str, on_purpose: bool) -> None:
        self._forget()
        if self._state in _NOT_TAKING - _PAUSED or not self.intake.connected:
            self.idle()
        elif on_purpose or self._state in _PAUSED:
            self._take()
        else:
            state: Actual = "standby" if code == 403 and self.dispatcher.ordered else "waiting"
            if self._tries == 0:
                self.losses += 1
                log.warning(
                    "consumer_standby" if state == "standby" else "consumer_waiting", reason=reason, **self._who()
                )
            self._set(state, reason)
            self._tries += 1
            longest = self.wiring.periods.look_again
            self.wiring.loop.call_later(min(longest, 0.125 * 2 ** min(self._tries, 10)), self._take)

    def idle(self) -> None:
        """Nothing is in flight; matters only while draining."""
        session = self.intake.session
        if self._drained is None or (session is not None and session.in_flight) or self.intake.close("drained"):
            return
        drained, self._drained = self._drained, None
        drained()

    # --- what the dispatcher and the settlement call -----------------------------------------------------------------

    def _send(self, delivery: Delivery) -> None:
        if self._state in _PAUSED:
            self._held.append(delivery)
            return
        if not self.breaker.closed:
            delivery.probe = self.breaker.take_probe()
            if not delivery.probe:
                self._held.append(delivery)
                return
        try:
            self.settlement.send(delivery)
        except Exception as exc:  # a message that we cannot send must not take the connection with it
            log.exception("delivery_crashed", message_id=delivery.source.message_id, **self._who())
            answer = Answer(None, ErrorClass.PROTOCOL, f"the request cannot be made: {exc}", 0.0)
            self.settlement.answered(delivery, answer)

    def finish(self, delivery: Delivery) -> None:
        """Its fate is safe."""
        delivery.session.finish(delivery.tag)
        self.dispatcher.settled(delivery)
        self._check_left()

    def give_back(self, delivery: Delivery, *, first_failed: float | None = None) -> None:
        """It goes back to its place in the queue, uncharged. Where order matters, so does all that came after it.
        With `first_failed` (Unix seconds) a copy that says so goes back instead, to the end of the queue."""
        self.settlement.counters.requeued += 1
        if self._keeps and self._state in _PAUSED:
            self._held.append(delivery)
        elif self.dispatcher.ordered:
            if not self.intake.leaving:
                self._renew()
            self.dispatcher.given_back()
            if not self._save_from_limit(delivery):
                delivery.session.leave()
            self._check_left()
        elif first_failed is not None:
            self.settlement.copier.give_back(
                delivery, lambda: self.dispatcher.settled(delivery), first_failed=first_failed
            )
        else:
            self._requeue(delivery)
            self.dispatcher.settled(delivery)

    def _requeue(self, delivery: Delivery) -> None:
        """By nack, as often as its queue bears that; when once more might be too often, as a copy."""
        if self._near_limit(delivery):
            self.settlement.copier.give_back(delivery, lambda: None)
        else:
            delivery.session.give_back(delivery.tag)

    def _near_limit(self, delivery: Delivery) -> bool:
        """Whether the queue may drop the message when it has come back a few times more. Some returns are spared for
        those that nobody sees: a worker that is killed, a message that comes while its channel closes. Of a queue that
        is not described yet, nothing is known but that it counts."""
        facts, headers = self.subscription.queue, delivery.source.properties.headers
        if not facts.described:
            return counts_returns(headers)
        limit = facts.delivery_limit
        return limit is not None and times_returned(headers) >= limit - max(1, min(_SPARED, limit // 4))

    def _save_from_limit(self, delivery: Delivery) -> bool:
        """Where order matters the channel is about to close, which returns all that came by it. A message that would
        be dropped for that goes to the end of its queue instead: better out of order than lost. One that has never
        been returned bears it: its copy would come by this channel at once, and need another."""
        if not self._near_limit(delivery) or not times_returned(delivery.source.properties.headers):
            return False
        log.warning("order_lost", message_id=delivery.source.message_id, **self._who())
        self.dispatcher.sending += 1

        def saved() -> None:
            self.dispatcher.given_back()
            self._check_left()

        self.settlement.copier.give_back(delivery, saved)
        return True

    def wait(self, delivery: Delivery, seconds: float) -> None:
        """Attempt it once more after so long, in its order."""
        self.dispatcher.wait(delivery, seconds)
        self._check_left()

    def rest(self, seconds: float, reason: str) -> None:
        """Take nothing for a while: the target's answers say that the consumer is misconfigured."""
        if self._state not in _NOT_TAKING:
            self._set("resting", reason)
            self._pause()
            self.wiring.loop.call_later(seconds, self._end_rest)

    def suspend(self, reason: str) -> None:
        """Take nothing until the consumer is changed or resumed."""
        if self._state not in ("suspended", "draining"):
            log.error("consumer_suspended", reason=reason, **self._who())
            self._set("suspended", reason)
            self._stop_taking()

    def _check_left(self) -> None:
        """Ordered: the channel is closed once nothing is under way; `lost` goes on from there."""
        if self.intake.leaving and not self.dispatcher.sending:
            self.intake.close("given back")

    def _forget(self) -> None:
        self._held.clear()
        self.dispatcher.lose()

    def _set(self, state: Actual, reason: str | None) -> None:
        self._state, self._reason = state, reason

    def _who(self) -> dict[str, str]:
        spec = self.subscription.spec
        return {"consumer": spec.name or spec.queue_name, "queue": spec.queue_name}
