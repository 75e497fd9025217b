"""One connection to RabbitMQ that reconnects to any of its nodes, on the loop of the thread that owns it."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import structlog

from delivery.backoff import reconnect_delay
from gateway.amqp.connect_errors import of_all_nodes, reason_of
from gateway.amqp.nodes import BrokerNodes
from gateway.amqp.pika_private import LoopConnection
from gateway.loop import Loop
from gateway.metrics.instruments import RECONNECTS
from gateway.node_urls import place

log = structlog.get_logger("workerrmq.amqp")


def is_error(reason: BaseException) -> bool:
    """Return whether the broker closed the connection because of an error (AMQP 0-9-1 §1.2: codes from 500)."""
    return getattr(reason, "reply_code", 0) >= 500


class Link:
    """Connects to one node after another, and reconnects with backoff until `close`. Owned by the loop's thread, which
    also runs its callbacks.

    `on_up(connection)` is called for each new open connection, `on_down(reason)` when an open connection is lost.
    """

    def __init__(
        self,
        loop: Loop,
        nodes: BrokerNodes,
        name: str,
        *,
        on_up: Callable[[Any], None],
        on_down: Callable[[str], None],
        heartbeat: int = 10,
        longest_attempt: float = 60.0,
        after_error: float = 0.0,
    ) -> None:
        """`heartbeat` (seconds) closes the connection to a stalled broker: pika checks every `heartbeat` + 5 seconds
        whether anything has arrived since its last check. A heartbeat in the URL takes precedence
        (https://www.rabbitmq.com/docs/heartbeats).

        An attempt to connect, with all addresses of the node, ends after `longest_attempt` seconds. pika itself never
        ends an attempt for which it got no socket, for example because the process has too many open files.

        After the broker has closed a connection with an error, the next attempt waits at least `after_error` seconds.
        """
        self._loop, self._name, self._longest_attempt = loop, name, longest_attempt
        self._after_error = after_error
        self._on_up, self._on_down = on_up, on_down
        self._nodes = nodes.shuffled(name, heartbeat)
        self._node = 0
        self._attempt: object | None = None
        self._connection: Any = None
        self._failures = 0
        self._reasons: dict[str, str] = {}
        self._lost_before = False
        self._closing = False
        self.up = False

    @property
    def error(self) -> str | None:
        """Why there is no connection: the last reason of each node that failed since the last one; None if up."""
        return None if self.up else of_all_nodes(self._reasons, len(self._nodes)) or "not connected yet"

    def open(self) -> None:
        """Start to connect to the next node, trying all its addresses in turn."""
        self._attempt = attempt = object()
        LoopConnection.create_connection(
            [copy(self._nodes[self._node])], partial(self._ended, attempt), custom_ioloop=self._loop
        )
        self._loop.call_later(self._longest_attempt, lambda: self._overdue(attempt))

    def close(self) -> None:
        """Close permanently; `on_down` is not called again."""
        self._closing = True
        self.up = False
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    @property
    def closed(self) -> bool:
        """Whether no connection is open and no attempt to connect is in progress."""
        return self._attempt is None and (self._connection is None or self._connection.is_closed)

    @property
    def _place(self) -> str:
        node = self._nodes[self._node]
        return place(node.host, node.port)

    def _ended(self, attempt: object, result: Any) -> None:
        """Handle the connection or the exception with which the attempt ended."""
        current = attempt is self._attempt
        if current:
            self._attempt = None
        if isinstance(result, BaseException):
            if current:
                self._retry(reason_of(result))
        elif not current:
            result.close()  # the attempt was overdue
        else:
            self._opened(result)

    def _overdue(self, attempt: object) -> None:
        if attempt is self._attempt:
            self._attempt = None
            self._retry("no answer in time")

    def _opened(self, connection: Any) -> None:
        self._connection = connection
        connection.add_on_close_callback(self._lost)
        if self._closing:
            connection.close()
            return
        self._failures, self.up = 0, True
        self._reasons.clear()
        if self._lost_before:
            RECONNECTS.labels(self._name).inc()
        log.info("broker_connected", connection=self._name, node=self._place)
        self._on_up(connection)

    def _lost(self, _connection: Any, reason: BaseException) -> None:
        was_up, self.up = self.up, False
        if was_up and not self._closing:
            self._lost_before = True
            self._on_down(reason_of(reason))
        self._retry(reason_of(reason), lost=True, pause=self._after_error if is_error(reason) else 0.0)

    def _retry(self, reason: str, *, lost: bool = False, pause: float = 0.0) -> None:
        """Connect to the next node. Pause before, at least for `pause` seconds, if all nodes failed, or if a connection
        was lost, so that not all clients of a node reconnect at the same moment."""
        self._connection = None
        if self._closing:
            return
        self._reasons[self._place] = reason
        rounds, position = divmod(self._failures, len(self._nodes))
        last = position == len(self._nodes) - 1
        delay = max(pause, reconnect_delay(rounds, random.random()) if lost or last else 0.0)
        if rounds in (0, 10) or rounds % 100 == 0:
            log.warning(
                "broker_connection_lost",
                connection=self._name,
                node=self._place,
                reason=reason,
                retry_in_seconds=round(delay, 2),
            )
        self._failures += 1
        self._node = (self._node + 1) % len(self._nodes)
        self._loop.call_later(delay, self._reopen)

    def _reopen(self) -> None:
        if not self._closing:
            self.open()
