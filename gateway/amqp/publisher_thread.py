"""Publishes for request threads, with one thread, one connection and pipelined confirms."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import count

import structlog

from delivery.periods import Periods
from domain.errors import BrokerUnavailable, PublishUnconfirmed, WorkerError
from domain.message import Message
from gateway.amqp.confirm_channel import Done
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.outlet import ChannelPeriods
from gateway.amqp.publisher import Publisher, refused_while_blocked, unavailable
from gateway.amqp.scheduler import Scheduler
from gateway.loop import Loop

log = structlog.get_logger("workerrmq.amqp")

Results = list[WorkerError | None]
"""One result per message, in order: None if the broker confirmed it and it is in a queue, else Unroutable,
PublishRefused, Unwritable, MessageTooLarge, PublishUnconfirmed (it may have been published) or BrokerUnavailable (it
has not been published)."""


class PublisherThread:
    """Owns its loop, connection and channel. Others may call `start`, `stop`, `publish`, `connected` and `error`.

    Start it after a fork, never before.
    """

    def __init__(
        self,
        nodes: BrokerNodes,
        name: str = "workerrmq-publisher",
        *,
        first_pause: float = 0.25,
        longest_pause: float = 30.0,
        sound_after: float = 10.0,
        channel_periods: ChannelPeriods = ChannelPeriods(),  # noqa: B008 - immutable
        periods: Periods = Periods(),  # noqa: B008 - immutable
        precision: float = 0.1,
        closing: float = 1.0,
    ) -> None:
        """A loop that crashes is replaced after `first_pause` seconds, doubled with each crash up to `longest_pause`.
        Earlier crashes no longer count after a loop has run for `sound_after` seconds. A result may come `precision`
        seconds after its timeout. The connection has `closing` seconds to close. `periods` are those of declaring the
        delay levels."""
        self._nodes, self._name = nodes, name
        self._channel_periods, self._periods = channel_periods, periods
        self._first_pause, self._longest_pause, self._sound_after = first_pause, longest_pause, sound_after
        self._precision, self._closing = precision, closing
        self._inbox: deque[_Batch] = deque()
        self._woken = False
        self._pending: dict[_Batch, float] = {}
        self._expiring = False
        self._loop: Loop | None = None
        self._publisher: Publisher | None = None
        self._scheduler: Scheduler | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._ended = threading.Event()
        self._fault: str | None = None

    @property
    def connected(self) -> bool:
        publisher = self._publisher
        return publisher is not None and publisher.up and self._fault is None

    @property
    def error(self) -> str | None:
        """Why there is no connection, or why the broker blocks it; None if neither is the case."""
        publisher = self._publisher
        return self._fault or ("not started" if publisher is None else publisher.blocked or publisher.error)

    def start(self) -> None:
        self._open()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for pending confirms, then close."""
        if self._thread is None or self._loop is None:
            return
        self._stopping = True
        self._ended.set()
        self._loop.add_callback_threadsafe(lambda: self._finish(time.monotonic() + timeout))
        self._thread.join(timeout + self._closing)

    def publish(self, messages: Sequence[Message], timeout: float) -> Future[Results]:
        """Publish and return at once. The future gets its results, never an exception, in about `timeout` seconds."""
        batch = _Batch(messages, timeout)
        if self._stopping or self._loop is None:
            batch.give(BrokerUnavailable("This process is shutting down.", retry_after=1))
        elif self._fault is not None:
            batch.give(unavailable(self._fault))
        elif messages:
            self._inbox.append(batch)
            if not self._woken:
                self._woken = True
                self._loop.add_callback_threadsafe(self._take)
        return batch.future

    def declare_queue(self, name: str, kind: str, timeout: float) -> None:
        """Declare a durable queue unless it exists, of the type that Standing.need_queue has for `kind`. Return when it
        is safe to use. Raises BrokerUnavailable if the broker refuses or does not answer in `timeout` seconds."""
        made: Future[str] = Future()  # with the reason of a refusal

        def refused(reason: str) -> bool:
            if not made.done():
                made.set_result(reason)
            return True

        def declare() -> None:
            assert self._scheduler is not None
            self._scheduler.need_queue(name, kind, lambda: made.set_result(""), refused)

        if self._loop is not None and not self._stopping:
            self._loop.add_callback_threadsafe(declare)
        try:
            reason = made.result(timeout)
        except TimeoutError:
            reason = f"The broker does not answer the declaration of {name!r}"
        if reason:
            raise BrokerUnavailable(f"{reason}.", retry_after=5)

    # --- on the loop -----------------------------------------------------------------------------------------------

    def _new_loop(self) -> Loop:
        return Loop()

    def _open(self) -> None:
        self._loop = loop = self._new_loop()
        self._publisher = Publisher(loop, self._nodes, self._name, periods=self._channel_periods)
        self._scheduler = Scheduler(loop, self._publisher, self._periods)

    def _run(self) -> None:
        """Run the loop until `stop`. After a crash, pause and run a new loop."""
        crashes = 0
        for run in count():
            began_at = time.monotonic()
            try:
                if run:
                    self._open()
                assert self._loop is not None
                assert self._publisher is not None
                self._publisher.open()
                self._fault = None
                # A batch that arrived while the previous loop crashed has woken only that loop.
                self._loop.add_callback_threadsafe(self._take)
                self._loop.run()
            except Exception as exc:
                crashes = crashes if time.monotonic() - began_at < self._sound_after else 0
                pause = min(self._longest_pause, self._first_pause * 2 ** min(crashes, 10))
                crashes += 1
                self._fault = f"the publisher thread crashed ({type(exc).__name__}); the log has the traceback"
                log.exception("publisher_thread_crashed", retry_in_seconds=pause)
                self._settle(self._fault)
                if self._ended.wait(pause):
                    return
            else:
                self._settle("This process is shutting down.")
                return

    def _settle(self, reason: str) -> None:
        """Give a result to all messages after the loop has ended."""
        while self._inbox:
            self._inbox.popleft().give(unavailable(reason))
        for batch in self._pending:
            self._expire(batch)
        self._pending, self._expiring = {}, False

    def _take(self) -> None:
        self._woken = False
        assert self._publisher is not None
        assert self._scheduler is not None
        while self._inbox:
            batch = self._inbox.popleft()
            if self._publisher.blocked is not None:
                batch.give(refused_while_blocked(self._publisher.blocked))
                continue
            for message, done in list(batch.open.values()):
                (self._publisher if message.due is None else self._scheduler).publish(message, done)
            self._pending[batch] = time.monotonic() + batch.timeout
            if not self._expiring:
                self._expiring = True
                self._expire_overdue()

    def _expire_overdue(self) -> None:
        """Expire overdue batches. One timer checks all deadlines while batches are open."""
        assert self._loop is not None
        now = time.monotonic()
        for batch in [batch for batch, deadline in self._pending.items() if deadline <= now]:
            self._expire(batch)
        self._pending = {batch: deadline for batch, deadline in self._pending.items() if batch.open}
        self._expiring = bool(self._pending)
        if self._expiring:
            self._loop.call_later(self._precision, self._expire_overdue)

    def _expire(self, batch: _Batch) -> None:
        """End a batch: messages that were not sent are unavailable, the others unconfirmed."""
        assert self._publisher is not None
        assert self._scheduler is not None
        for _, done in list(batch.open.values()):
            unsent = self._unsent() if self._publisher.give_up(done) else None
            done(unsent or self._scheduler.give_up(done) or _NO_ANSWER)

    def _unsent(self) -> WorkerError:
        """Return the error of a message that waited for a channel."""
        assert self._publisher is not None
        if self._publisher.error is None:
            return BrokerUnavailable("The broker opened no channel in time; the message was not sent.", retry_after=5)
        return unavailable(self._publisher.error)

    def _finish(self, until: float) -> None:
        assert self._publisher is not None
        assert self._loop is not None
        if self._publisher.pending and time.monotonic() < until:
            self._loop.call_later(0.05, lambda: self._finish(until))
            return
        self._publisher.close()
        self._close_loop(time.monotonic() + self._closing)

    def _close_loop(self, until: float) -> None:
        assert self._publisher is not None
        assert self._loop is not None
        if self._publisher.closed or time.monotonic() >= until:
            self._loop.finish()
        else:
            self._loop.call_later(0.05, lambda: self._close_loop(until))


_NO_ANSWER = PublishUnconfirmed("The broker did not confirm the message in time; it may have been published.")


class _Batch:
    """The messages of one call, and their results. Owned by the loop, except `future`."""

    def __init__(self, messages: Sequence[Message], timeout: float) -> None:
        self.future: Future[Results] = Future()
        self.timeout = timeout
        self.open = {position: (message, self._slot(position)) for position, message in enumerate(messages)}
        self._results: Results = [_NO_ANSWER] * len(messages)
        if not messages:
            self.future.set_result([])

    def give(self, error: WorkerError) -> None:
        """Give `error` to all messages without a result."""
        for _, done in list(self.open.values()):
            done(error)

    def _slot(self, position: int) -> Done:
        def done(result: WorkerError | None) -> None:
            if self.open.pop(position, None) is None:
                return
            self._results[position] = result
            if not self.open:
                self.future.set_result(self._results)

        return done
