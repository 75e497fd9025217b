"""One consumer on the loop: it interprets the table of states, and passes messages between its parts.

Its channel is in intake.py, its subscription in taking.py, its acks are in session.py, order and rate of sending in
dispatcher.py, attempts in sending.py, outcomes in settlement.py, returns to the queue in returns.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from delivery.consumer_states import RIGHTS, Event, State, next_state, reported
from domain.payload import PayloadTemplate
from domain.registry import Report, Subscription
from gateway.consuming.batch_dispatcher import BatchDispatcher
from gateway.consuming.counters import Counters
from gateway.consuming.dispatcher import Dispatcher
from gateway.consuming.dispatching import Dispatching
from gateway.consuming.intake import Intake
from gateway.consuming.rests import Rests
from gateway.consuming.returns import Returns
from gateway.consuming.session import Delivery, Session
from gateway.consuming.settlement import Settlement
from gateway.consuming.taking import Taking
from gateway.consuming.wiring import Wiring

log = structlog.get_logger("workerrmq.delivery")


class Consumer:
    """Owned by the loop's thread. Its methods are grouped by caller: the thread, the breaker, the intake, the
    dispatcher, the settlement."""

    def __init__(self, wiring: Wiring, subscription: Subscription) -> None:
        self.wiring = wiring
        self.subscription = subscription
        self.breaker = wiring.breakers.of(subscription.spec)
        self._counters = Counters()
        self.dispatcher: Dispatching = (
            BatchDispatcher(wiring.loop, subscription, self._send_batch)
            if subscription.spec.batch
            else Dispatcher(wiring.loop, subscription, self._send)
        )
        self.intake = Intake(wiring, self, subscription, ordered=self.dispatcher.ordered)
        self.settlement = Settlement(self, wiring, subscription, self.breaker, self._counters)
        self._rests = Rests(
            wiring.loop,
            wiring.publisher,
            wiring.periods.look_again,
            resting=lambda: self._state == "resting",
            begun=lambda reason: self._take_up(Event.REFUSED, reason),
            over=lambda: self._take_up(Event.RESTED),
        )
        self.returns = Returns(wiring, self._rests, self.intake, self.dispatcher, subscription, self.settlement.copier)
        self.taking = Taking(wiring.loop, self.intake, self.dispatcher, self.returns, lambda: self._state)
        self._state: State = "waiting"
        self._reason: str | None = "the broker is not connected"
        self._tries = 0
        self.losses = 0
        """number of times that it lost its queue"""
        self._drained: Callable[[], None] | None = None
        wiring.breakers.join(self, self.breaker)  # last: the breaker must not call a half-made consumer

    # --- the thread --------------------------------------------------------------------------------------------------

    def connected(self, connection: Any, reason: str | None = None) -> None:
        """Consume on this connection. Until the broker sends messages, report `reason`."""
        self.intake.connect(connection)
        self._take_up(Event.CONNECTED, reason)

    def disconnected(self, reason: str) -> None:
        self.intake.connect(None)
        self.dispatcher.lose()
        self._enter(Event.DISCONNECTED, reason)
        self.idle()

    def change(self, subscription: Subscription) -> None:
        """Apply a new revision; deliveries in flight end under the old one. Queue and ordering must be the same."""
        before, self.subscription = self.subscription, subscription
        self.intake.subscription = self.returns.subscription = subscription
        if (before.revision, before.queue) == (subscription.revision, subscription.queue):
            self.dispatcher.change(subscription)
            return
        breaker = self.wiring.breakers.of(subscription.spec)
        self.settlement = Settlement(self, self.wiring, subscription, breaker, self._counters)
        self.returns.copier = self.settlement.copier
        if breaker is not self.breaker:
            self.wiring.breakers.leave(self, self.breaker)
            self.wiring.breakers.join(self, breaker)
            self.breaker = breaker
        self.dispatcher.change(subscription)  # after the new settlement: it may send waiting messages
        taken_up = before.revision != subscription.revision and self._take_up(Event.CHANGED)
        if not taken_up and not before.queue.known:
            self.taking.take()
        if not before.queue.described:
            self.intake.need_dead_letter_queue()
        self.taking.adjust()

    def drain(self, drained: Callable[[], None]) -> None:
        """Take no more messages, finish those in flight, close the channel, then call `drained`."""
        self._drained = drained
        self._enter(Event.REMOVED)
        self.wiring.breakers.leave(self, self.breaker)
        self.taking.stop(self.idle)

    def abandon(self, done: Callable[[], None]) -> int:
        """Publish copies of the messages in flight that are near their queue's delivery limit, because the channel is
        about to close. Return the number of copies; each calls `done` after its confirm."""
        unsettled = list(self.intake.session.unsettled.values()) if self.intake.session else []
        return sum(self.returns.abandon(delivery, done) for delivery in unsettled)

    def report(self) -> Report:
        session = self.intake.session
        return Report(
            consumer_id=self.subscription.id,
            revision=self.subscription.revision,
            state=reported(self._state, failing=self._counters.failing, throttled=self.breaker.throttled),
            reason=self._why(),
            next_attempt_at=self.breaker.next_attempt_at if self._state == "breaker-open" else None,
            in_flight=len(session.unsettled) if session else 0,
            **self._counters.figures(),
        )

    def _why(self) -> str | None:
        if self._state in ("breaker-open", "probing"):
            return self.breaker.reason
        if self._state == "resting" and self._reason:
            return self._rests.explained(self._reason)
        reason = self._reason or ("" if self.dispatcher.ordered else self.wiring.standing.hindrance)
        if not reason and isinstance(self.subscription.spec.payload, PayloadTemplate):
            reason = self.wiring.renderer.hindrance
        return reason or None

    def tell(self) -> None:
        """Add the counts since the last call to the instruments."""
        self._counters.tell(self.subscription.spec.effective_name, self.subscription.spec.queue_name)

    # --- states and their actions ------------------------------------------------------------------------------------

    def _enter(self, event: Event, reason: str | None = None) -> bool:
        """Enter the state that follows an event; return whether the table has one. It may be the same state again."""
        following = next_state(self._state, event, self.breaker.state, consuming=self.intake.consuming)
        if following is None:
            return False
        self._state, self._reason = following, reason
        return True

    def _take_up(self, event: Event, reason: str | None = None) -> bool:
        """Enter the state that follows an event and carry out its actions; return whether the table has one."""
        entered = self._enter(event, reason)
        if entered:
            self.taking.obey()
        return entered

    # --- the breaker -------------------------------------------------------------------------------------------------

    def breaker_changed(self, event: Event) -> None:
        """Act on a change of the breaker. The event is repeated if a probe was not sent; then another message may be
        the probe."""
        if event is Event.BREAKER_CLOSED:
            self.dispatcher.slow_start()
        if not self._take_up(event):
            self.dispatcher.release()

    # --- the intake --------------------------------------------------------------------------------------------------

    def watch(self, session: Session) -> None:
        self.taking.watch(session, self.wiring.periods.held)

    def undescribed(self) -> None:
        self._enter(Event.UNDESCRIBED, "RabbitMQ's management API has not described the queue yet.")

    def consuming(self) -> None:
        self._tries = 0
        if self._enter(Event.CONSUMING):
            if self._state == "running":
                log.info("consumer_running", **self.subscription.spec.who)
            self.taking.obey()

    def arrived(self, delivery: Delivery) -> None:
        self.dispatcher.arrived(delivery)

    def late(self, delivery: Delivery) -> None:
        """Return a message that arrived after the subscription was cancelled."""
        self.returns.back(delivery)

    def lost(self, code: int, reason: str, on_purpose: bool) -> None:
        self.dispatcher.lose()
        if self._state in ("suspended", "draining") or not self.intake.connected:
            self.idle()
        elif on_purpose or RIGHTS[self._state].holds:
            self.taking.take()
        else:
            taken = code == 403 and "exclusive use" in reason  # 403 also stands for a missing permission
            event = Event.QUEUE_TAKEN if taken and self.dispatcher.ordered else Event.QUEUE_LOST
            self._enter(event, reason)
            if self._tries == 0:
                self.losses += 1
                log.warning(
                    "consumer_standby" if self._state == "standby" else "consumer_waiting",
                    reason=reason,
                    **self.subscription.spec.who,
                )
            self._tries += 1
            longest = self.wiring.periods.look_again
            self.wiring.loop.call_later(min(longest, 0.125 * 2 ** min(self._tries, 10)), self.taking.take)

    def idle(self) -> None:
        """End the drain if nothing is in flight."""
        session = self.intake.session
        if self._drained is None or (session is not None and session.unsettled) or self.intake.close("drained"):
            return
        drained, self._drained = self._drained, None
        drained()

    # --- the dispatcher ----------------------------------------------------------------------------------------------

    def _send(self, delivery: Delivery) -> None:
        if self.may_send(delivery):
            self.settlement.sending.send(delivery)
        else:
            self._keep(delivery)

    def _send_batch(self, batch: list[Delivery]) -> None:
        if self.may_send(batch[0]) and self.settlement.batches:
            sent = batch[:1] if batch[0].probe else batch
            for delivery in batch[len(sent) :]:
                self.put_back(delivery)
            self.settlement.batches.send(sent)
            return
        for delivery in batch:
            self._keep(delivery)

    def _keep(self, delivery: Delivery) -> None:
        """Hold a delivery that may not be sent now, or give it back."""
        self.dispatcher.not_sent(delivery)
        if RIGHTS[self._state].takes:
            self.dispatcher.hold(delivery)
        else:
            self.give_back(delivery)

    # --- the settlement ----------------------------------------------------------------------------------------------

    def may_send(self, delivery: Delivery) -> bool:
        """Return whether a delivery may be sent now. If the breaker is half open, the delivery becomes the probe."""
        if not RIGHTS[self._state].takes or not delivery.open or delivery.abandoned:
            return False
        if self.breaker.closed:
            return True
        delivery.probe = delivery.probe or self.breaker.take_probe()
        return delivery.probe

    def send_again(self, *batches: list[Delivery]) -> None:
        """Send deliveries before all others if the consumer takes messages; else hold them or give them back."""
        if RIGHTS[self._state].takes:
            self.dispatcher.again(*batches)
            return
        for delivery in (one for batch in batches for one in batch):
            self.give_back(delivery)

    def put_back(self, delivery: Delivery) -> None:
        """Send a delivery of a batch again, after those that come before it in its queue."""
        if isinstance(self.dispatcher, BatchDispatcher):
            self.dispatcher.put_back(delivery)
        self.returns.close_when_idle()

    def finish(self, delivery: Delivery) -> None:
        """Ack a delivery."""
        delivery.session.finish(delivery.tag)
        self.dispatcher.settled(delivery)
        self.returns.close_when_idle()

    def give_back(self, delivery: Delivery, *, first_failed: float | None = None) -> None:
        """Return a message to its place in the queue, uncharged; if ordered, with all messages after it. With
        `first_failed` (Unix seconds), return a copy with that time to the end of the queue instead."""
        if self.taking.keeps and RIGHTS[self._state].holds and not self.intake.leaving:
            self.dispatcher.hold(delivery)
            return
        if self.dispatcher.ordered and not self.intake.leaving:
            self.taking.renew()
        self.returns.back_from_target(delivery, first_failed)

    def wait(self, delivery: Delivery, seconds: float) -> None:
        """Attempt a delivery again after `seconds`, in order."""
        self.dispatcher.wait(delivery, seconds)
        self.returns.close_when_idle()

    def rest(self, seconds: float, reason: str) -> None:
        """Take no messages for `seconds`, because the target refused one or the service could not send one. A rest in
        progress that ends later stays."""
        self._rests.begin(seconds, reason)

    def suspend(self, reason: str) -> None:
        """Take no messages until the consumer is changed or resumed."""
        if self._enter(Event.MISCONFIGURED, reason):
            log.error("consumer_suspended", reason=reason, **self.subscription.spec.who)
            self.taking.obey()
