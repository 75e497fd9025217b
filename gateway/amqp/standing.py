"""Declares the service's own exchanges and queues on first use, on the connection of a ConsumerThread."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from cachetools import TTLCache

from delivery.periods import Periods
from gateway.amqp import topology
from gateway.amqp.declaring import Declaration, Refused, declare, queue
from gateway.loop import Loop, contained
from gateway.permissions import DECLARE, missing_permission

log = structlog.get_logger("workerrmq.delivery")

Then = Callable[[], None]
Failed = Callable[[str], bool | None]
"""Gets the reason for which the broker refuses; true when the caller waits no longer."""
_RETURN = topology.DUE, topology.OVERDUE, topology.ORPHANS


class Standing:
    """Declares each exchange and queue once for all callers, and repeats a refused declaration
    (`Periods.declare_again`). It forgets all declarations and callers when the connection is lost. Owned by the loop's
    thread.

    A new queue is not used before `Periods.settling` has passed. RabbitMQ (3.10.8 and 4.0.5) writes the name of a new
    quorum queue to disk within three seconds; if its node is killed before, the queue comes back without its messages
    and without a leader.
    """

    def __init__(self, loop: Loop, periods: Periods) -> None:
        self._loop, self._periods = loop, periods
        self._settling = 0.0
        self._settled_at: dict[str, float] = {}  # by name of a queue that it has declared
        self._connection: Any = None
        self._quorum: dict[str, Any] = {}
        self._parts: dict[str, _Part] = {}
        self._doubt_at = 0.0  # earliest time of the next doubt
        self.unusable: TTLCache[str, str] = TTLCache(len(_RETURN) + 1, periods.return_again)
        """by exchange: why the broker did not store a due retry that could not return"""
        self.due_unusable = ""
        """why due retries cannot be taken; empty if they can"""

    def connected(self, connection: Any) -> None:
        """Use this connection from now on."""
        self._connection, self._parts = connection, {}
        server = connection.server_properties or {}
        self._quorum = topology.quorum_arguments(server)
        self._settling = self._periods.settling if server.get("product") == "RabbitMQ" else 0.0

    @property
    def hindrance(self) -> str:
        """Why due retries cannot return, or cannot be stored after their queue refused them; empty if they can."""
        refused = (self._parts[name].refused for name in _RETURN if name in self._parts)
        unusable = (self.unusable.get(name, "") for name in list(self.unusable))  # one may expire meanwhile
        return next(filter(None, (self.due_unusable, *refused, *unusable)), "")

    def disconnected(self) -> None:
        """Forget all declarations and waiting callers, whose messages the broker redelivers."""
        self._connection, self._parts = None, {}
        self.unusable.clear()

    def need_return(self, then: Then, failed: Failed = lambda _: None) -> None:
        """Call `then` once the queue of due retries exists."""
        self._need(topology.DUE, lambda: topology.due(self._quorum), then, failed)

    def need_overdue(self, then: Then, failed: Failed = lambda _: None) -> None:
        """Call `then` once the queue for refused retries exists."""
        self._need(
            topology.OVERDUE,
            lambda: topology.overdue(self._quorum, self._periods.return_again),
            self._settled(then, topology.OVERDUE),
            failed,
        )

    def need_orphans(self, then: Then, failed: Failed = lambda _: None) -> None:
        """Call `then` once the queue for orphans exists."""
        ready = self._settled(then, topology.ORPHANS)
        self._need(topology.ORPHANS, lambda: topology.orphans(self._quorum), ready, failed)

    def need_delay(self, delay: int, then: Then = lambda: None, failed: Failed = lambda _: None) -> None:
        """Call `then` once the delay levels for a retry after `delay` seconds exist; call `failed` with the reason for
        each refusal."""
        self._need_levels(topology.RETRIES, delay, then, failed)

    def need_schedule(self, delay: int, then: Then, failed: Failed = lambda _: None) -> None:
        """Do the same for a scheduled message; a `delay` of 0 needs no level."""
        self._need_levels(topology.SCHEDULED, delay, then, failed)

    def _need_levels(self, kind: topology.Kind, delay: int, then: Then, failed: Failed) -> None:
        top = delay.bit_length() - 1
        names = [topology.level_queue(kind, number) for number in range(top + 1)]
        self._need_level(kind, top, self._settled(then, topology.DUE, *names), failed)

    def need_queue(self, name: str, kind: str, then: Then = lambda: None, failed: Failed = lambda _: None) -> None:
        """Call `then` once a durable queue of this name exists, for dead letters or for a route. It is declared as a
        classic queue if `kind` is classic, else as a quorum queue."""
        classic = kind == "classic"
        arguments = topology.classic_arguments() if classic else self._quorum
        ready = then if classic else self._settled(then, name)
        self._need(name, lambda: queue(name, arguments), ready, failed)

    def doubt(self) -> None:
        """Check all exchanges and queues again on their next use, because one may be missing. Ignored within
        `Periods.doubt_again` of the last time."""
        if time.monotonic() < self._doubt_at:
            return
        self._doubt_at = time.monotonic() + self._periods.doubt_again
        self._parts = {name: part for name, part in self._parts.items() if not part.stands}

    def _need_level(self, kind: topology.Kind, number: int, then: Then, failed: Failed) -> None:
        """Declare the levels from the lowest to `number`, because each routes to the one below it."""
        if number < 0:
            self.need_return(then, failed)
            return
        name = topology.level_queue(kind, number)
        part = self._parts.get(name)
        if part is not None and part.stands:
            then()
            return

        def upon_the_one_below() -> None:
            self._need(name, lambda: topology.level(kind, number, self._quorum), then, failed)

        self._need_level(kind, number - 1, upon_the_one_below, failed)

    def _need(
        self,
        name: str,
        declaration: Callable[[], Declaration],
        then: Then = lambda: None,
        failed: Failed = lambda _: None,
    ) -> None:
        part = self._parts.get(name)
        if part is not None and part.stands:
            then()
            return
        if part is None:
            part = self._parts[name] = _Part(name, declaration)
            self._declare(part)
        part.add(then, failed)

    def _declare(self, part: _Part) -> None:
        if self._connection is None or self._parts.get(part.name) is not part:
            return

        def done(refused: Refused | None) -> None:
            self._loop.remove_timeout(deadline)
            if self._parts.get(part.name) is not part:
                return
            if refused is None:
                part.stands, part.refused = True, ""
                waiting, part.waiting = part.waiting, {}
                for then in waiting:
                    contained(then)
                return
            if not part.refused:
                log.error("declaration_refused", name=part.name, reason=refused.text)
            self._loop.call_later(self._periods.declare_again, lambda: self._declare(part))
            why = missing_permission(refused.text, DECLARE) or refused.text
            part.refuse(f"The broker refuses to declare {part.name!r}: {why}")

        def unanswered() -> None:
            if self._parts.get(part.name) is part:
                part.refuse(f"The broker does not answer the declaration of {part.name!r}.")

        deadline = self._loop.call_later(self._periods.declare_again, unanswered)
        declare(self._connection, self._noting(part), done)

    def _noting(self, part: _Part) -> Declaration:
        if (yield from part.declaration()):
            self._settled_at[part.name] = time.monotonic() + self._settling
        return None

    def _settled(self, then: Then, *names: str) -> Then:
        """Return a callback that calls `then` once these queues have settled."""

        def soon() -> None:
            pause = max(self._settled_at.get(name, 0.0) for name in names) - time.monotonic()
            if pause > 0:
                self._loop.call_later(pause, soon)
            else:
                then()

        return soon


class _Part:
    """One exchange or queue, and the callers that wait for it."""

    def __init__(self, name: str, declaration: Callable[[], Declaration]) -> None:
        self.name, self.declaration = name, declaration
        self.stands = False
        self.refused = ""
        """why the last declaration failed; empty if it did not"""
        self.waiting: dict[Then, Failed] = {}

    def add(self, then: Then, failed: Failed) -> None:
        """Let a caller wait, and tell it a refusal; it waits no longer if it says so."""
        self.waiting[then] = failed
        if self.refused and failed(self.refused):
            self.waiting.pop(then, None)

    def refuse(self, reason: str) -> None:
        """Tell all callers that the declaration failed."""
        self.refused = reason
        for then, failed in list(self.waiting.items()):
            contained(self.add, then, failed)
