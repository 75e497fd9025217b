"""Runs all consumers of a process on one thread and one loop, so that deliveries need no thread and no lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from delivery.attempts import AttemptBuffer
from delivery.exchange_pauses import ExchangePauses
from delivery.periods import Periods
from delivery.target_guard import Guard
from domain.attempt import Attempt
from domain.registry import Report, Subscription
from gateway.amqp.link import Link
from gateway.amqp.migration import move_orphans
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.outlet import ChannelPeriods
from gateway.amqp.publisher import Publisher
from gateway.amqp.standing import Standing
from gateway.consuming.attempt_log import AttemptLog
from gateway.consuming.breakers import Breakers
from gateway.consuming.due_retries import DueRetries
from gateway.consuming.running import RunningConsumers
from gateway.consuming.wiring import Wiring
from gateway.http.client import HttpClient
from gateway.http.egress import DIRECT, Egress
from gateway.loop import Loop
from gateway.rendering.renderer import Renderer, RenderLimits
from gateway.tracing import Tracing
from runtime.open_files import allow_many

log = structlog.get_logger("workerrmq.delivery")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last report of the thread. `error` is why it is not connected. `losses` changes when a queue may have been
    replaced: when a consumer lost it, or the connection was lost. `at` is when the loop made it, in seconds of
    time.monotonic(); infinity before the loop runs and after it ended."""

    connected: bool = False
    error: str | None = "not connected yet"
    consumers: tuple[Report, ...] = ()
    losses: int = 0
    at: float = float("inf")


class ConsumerThread:
    """Owns its loop, its four connections, the HTTP client and all consumers. One connection consumes and the others
    publish, because RabbitMQ blocks publishing connections while it is short of memory or disk. Due retries have a
    separate connection: while the node of a quorum queue hangs, RabbitMQ stops a channel that publishes to the queue
    for seconds at each message, and copies must not wait for that.

    Other threads may call `start`, `apply`, `snapshot`, `take_attempts`, `alive`, `stop` and `join`, and read `crash`.
    Start it after a fork.
    """

    def __init__(
        self,
        nodes: BrokerNodes,
        name: str = "workerrmq-consumer",
        guard: Guard | None = None,
        tracing: Tracing | None = None,
        periods: Periods = Periods(),  # noqa: B008 - immutable
        egress: Egress = DIRECT,
        limits: RenderLimits = RenderLimits(),  # noqa: B008 - immutable
    ) -> None:
        """`guard` decides which targets may be called; without it, all. With `tracing`, each attempt has a span."""
        self._nodes, self._name, self._guard, self._tracing = nodes, name, guard, tracing
        self._periods, self._egress, self._limits = periods, egress, limits
        self.crash: str | None = None
        """type of the exception that ended the thread; None while it runs and after it was stopped"""
        self._snapshot = Snapshot()
        self._attempts = AttemptBuffer()
        self._loop: Loop | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._started = threading.Event()

    def start(self) -> None:
        allow_many()  # a socket for each delivery in flight
        self._thread.start()
        self._started.wait()

    def apply(self, desired: Sequence[Subscription]) -> None:
        """Run exactly these consumers: start new ones, change those with another revision, drain the others."""
        self._call(lambda: self._apply(desired))

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def take_attempts(self) -> list[Attempt]:
        """Return the attempts for the attempt log since the last call."""
        return self._attempts.take()

    def stop(self, deadline: float) -> None:
        """Stop taking messages, wait up to `deadline` seconds for those in flight, and give back the rest, uncharged.
        Use `join` to wait for the end."""
        self._call(lambda: self._stop(deadline))

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for the thread to end; return whether it has."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _call(self, callback: Any) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.add_callback_threadsafe(callback)

    # --- on the loop -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._work()
        except Exception as exc:
            self.crash = type(exc).__name__
            self._snapshot = Snapshot(error=f"crashed ({self.crash})")
            log.exception("consumer_thread_crashed")
        finally:
            self._started.set()  # after a crash as well, so that `start` returns

    def _work(self) -> None:
        self._loop = loop = Loop()
        self._link = Link(loop, self._nodes, self._name, on_up=self._up, on_down=self._down)
        channels = ChannelPeriods(refusal=self._periods.look_again)
        self._publisher, due = (
            Publisher(loop, self._nodes, f"{self._name}-{purpose}", patient=True, periods=channels)
            for purpose in ("copies", "due")
        )
        self._wiring = Wiring(
            loop,
            HttpClient(loop, self._guard, self._periods.connection_age, self._egress, self._periods.tokens),
            self._publisher,
            Standing(loop, self._periods),
            Breakers(loop, self._periods.longest_pause),
            ExchangePauses(self._periods.republish, self._periods.longest_republish),
            AttemptLog(self._attempts),
            self._tracing,
            self._periods,
            Renderer(loop, self._limits),
        )
        self._due_retries = retries = DueRetries(self._wiring, due)
        due_queue = self._new_link("due-queue", retries.connected, retries.disconnected)
        self._shared: tuple[Link | Publisher, ...] = (self._link, self._publisher, due, due_queue)
        self._consumers = RunningConsumers(self._wiring, partial(self._new_link, "isolated"), self._close_when_done)
        self._connection: Any = None
        self._connections = 0  # number of connections so far
        self._copies = 0  # copies in flight after the deadline
        self._stopping = self._closing = False
        for link in self._shared:
            link.open()
        self._take_snapshot()
        self._verify()
        self._started.set()
        loop.run()

    def _new_link(self, purpose: str, on_up: Callable[[Any], None], on_down: Callable[[str], None]) -> Link:
        """Return a connection for one queue that the broker may have lost; see isolation.py."""
        name, pause = f"{self._name}-{purpose}", self._periods.return_again
        return Link(self._wiring.loop, self._nodes, name, on_up=on_up, on_down=on_down, after_error=pause)

    @property
    def _links(self) -> tuple[Link | Publisher, ...]:
        return *self._shared, *self._consumers.links

    def _apply(self, desired: Sequence[Subscription]) -> None:
        if not self._stopping:
            self._consumers.apply(desired)

    def _verify(self) -> None:
        """Check again for exchanges and queues that an operator may have deleted."""
        if self._connection is not None:
            self._wiring.standing.doubt()
            self._due_retries.verify()
            self._consumers.keep_levels()
        self._wiring.loop.call_later(self._periods.verify, self._verify)

    def _up(self, connection: Any) -> None:
        """Connect all consumers. They declare their exchanges and queues when needed, because nodes may be down."""
        self._wiring.standing.connected(connection)
        self._wiring.standing.need_orphans(self._orphans_ready)
        self._due_retries.verify()
        self._connection = connection
        self._connections += 1
        self._consumers.connected(connection)

    def _orphans_ready(self) -> None:
        if self._connection is not None:
            move_orphans(self._connection, self._publisher)

    def _down(self, reason: str) -> None:
        self._connection = None
        self._wiring.standing.disconnected()
        self._due_retries.renew()
        self._consumers.disconnected(reason)

    def _take_snapshot(self) -> None:
        losses = self._connections + self._consumers.losses
        reports, connected = self._consumers.reports(), self._connection is not None
        self._snapshot = Snapshot(connected, self._link.error, reports, losses, time.monotonic())
        self._consumers.tell()
        self._wiring.log.refresh()
        self._wiring.loop.call_later(self._periods.snapshot, self._take_snapshot)

    # --- stopping: take no more, finish, give back, close ------------------------------------------------------------

    def _stop(self, deadline: float) -> None:
        if self._stopping:
            return
        self._stopping = True
        self._wiring.loop.call_later(deadline, self._abandon)
        self._consumers.drain()
        self._due_retries.drain(self._close_when_done)
        self._close_when_done()

    def _close_when_done(self) -> None:
        if self._stopping and not self._consumers.leaving and self._due_retries.idle:
            self._close()

    def _abandon(self) -> None:
        """Stop waiting for answers, but wait for the copies of messages that one more return could drop."""
        copies = self._consumers.abandon(self._copied)
        self._copies += copies  # a separate statement: `abandon` may call `_copied`
        if self._copies:
            self._wiring.loop.call_later(self._periods.closing, self._close)
        else:
            self._close()

    def _copied(self) -> None:
        self._copies -= 1
        if not self._copies:
            self._close()

    def _close(self) -> None:
        """Close all channels and connections; the broker requeues the unsettled messages."""
        if not self._closing:
            self._closing = True
            self._consumers.close()
            for link in self._links:
                link.close()
            self._end(time.monotonic() + self._periods.closing)

    def _end(self, at_the_latest: float) -> None:
        if all(link.closed for link in self._links) or time.monotonic() > at_the_latest:
            self._consumers.tell()
            self._wiring.renderer.close()
            self._wiring.http.close()  # last: it removes handlers by numbers that others may use since
            self._wiring.loop.finish()
        else:
            self._wiring.loop.call_later(0.02, lambda: self._end(at_the_latest))
