"""Which of the service's own exchanges and queues are known to stand, on the connection of a ConsumerThread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from delivery.delays import levels
from gateway.amqp import topology
from gateway.amqp.declaring import Declaration, Refused, declare
from gateway.loop import Loop
from gateway.permissions import DECLARE, missing_permission

log = structlog.get_logger("workerrmq.delivery")

Then = Callable[[], None]
Failed = Callable[[str], None]


class Standing:
    """Owned by the loop's thread. Declares what is needed, once for all who need it, and again every `retry` seconds
    while the broker refuses. All that it promised is forgotten with the connection."""

    def __init__(self, loop: Loop, retry: float) -> None:
        self._loop, self._retry = loop, retry
        self._connection: Any = None
        self._quorum: dict[str, Any] = {}
        self._parts: dict[str, _Part] = {}

    def connected(self, connection: Any, then: Then, orphans: Then) -> None:
        """Use this connection. `then` is called when consumers may start. The orphans' queue follows in its own time,
        because it may lie on nodes that are down; `orphans` is called when it is there."""
        self._connection, self._parts = connection, {}
        self._quorum = topology.quorum_arguments(connection.server_properties or {})

        def declared() -> None:
            self._need(topology.ORPHANS, lambda: topology.orphans(self._quorum), orphans)
            then()

        self.need_due(declared)

    @property
    def hindrance(self) -> str:
        """Why consumers may not start although there is a connection; empty when nothing hinders them."""
        part = self._parts.get(topology.DUE)
        return part.refused if part else ""

    def disconnected(self) -> None:
        """Forget everything, also who waits: his messages go back to their queues."""
        self._connection, self._parts = None, {}

    def need_due(self, then: Then, failed: Failed = lambda _: None) -> None:
        """Call `then` once the exchange is there by which retries come back."""
        self._need(topology.DUE, topology.exchanges, then, failed)

    def need_delay(self, delay: int, then: Then = lambda: None, failed: Failed = lambda _: None) -> None:
        """Call `then` once a message may enter the levels for `delay` seconds; `failed` hears why it may not yet."""
        self._need_level(levels(delay)[0], then, failed)

    def need_dead_letter_queue(
        self, name: str, kind: str, then: Then = lambda: None, failed: Failed = lambda _: None
    ) -> None:
        """Call `then` once the dead-letter queue is there: a classic queue for a classic queue, else a quorum queue."""
        arguments = topology.classic_arguments() if kind == "classic" else self._quorum
        self._need(name, lambda: topology.dead_letters(name, arguments), then, failed)

    def doubt(self) -> None:
        """Something was not there after all: look for it again when it is next needed."""
        self._parts = {name: part for name, part in self._parts.items() if not part.stands}

    def _need_level(self, number: int, then: Then, failed: Failed) -> None:
        """The lowest first: each leads to the one below."""
        if number < 0:
            self.need_due(then, failed)
            return
        name = topology.level_name(number)
        part = self._parts.get(name)
        if part is not None and part.stands:
            then()
            return

        def upon_the_one_below() -> None:
            self._need(name, lambda: topology.level(number, self._quorum), then, failed)

        self._need_level(number - 1, upon_the_one_below, failed)

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
        part.waiting.append((then, failed))
        if part.refused:
            failed(part.refused)

    def _declare(self, part: _Part) -> None:
        if self._connection is None or self._parts.get(part.name) is not part:
            return

        def done(refused: Refused | None) -> None:
            if self._parts.get(part.name) is not part:
                return
            if refused is None:
                part.stands, part.refused = True, ""
                waiting, part.waiting = part.waiting, []
                for then, _ in waiting:
                    then()
                return
            if not part.refused:
                log.error("declaration_refused", name=part.name, reason=refused.text)
            why = missing_permission(refused.text, DECLARE) or refused.text
            part.refused = f"The broker refuses to declare {part.name!r}: {why}"
            for _, failed in part.waiting:
                failed(part.refused)
            self._loop.call_later(self._retry, lambda: self._declare(part))

        declare(self._connection, part.declaration(), done)


class _Part:
    """One exchange or queue, and who waits for it."""

    def __init__(self, name: str, declaration: Callable[[], Declaration]) -> None:
        self.name, self.declaration = name, declaration
        self.stands = False
        self.refused = ""
        """why the broker refused to declare it, last time"""
        self.waiting: list[tuple[Then, Failed]] = []
