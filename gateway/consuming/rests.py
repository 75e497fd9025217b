"""The rests of a consumer: pauses that the target's refusals, failures of the service, or missing copies cause."""

from __future__ import annotations

import time
from collections.abc import Callable

from delivery.backoff import next_attempt
from gateway.amqp.publisher import Publisher
from gateway.loop import Loop


class Rests:
    """Owned by the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        publisher: Publisher,
        look_again: float,
        resting: Callable[[], bool],
        begun: Callable[[str], object],
        over: Callable[[], object],
    ) -> None:
        """`begun` gets the reason of a rest, after which `resting` tells whether the consumer rests. `over` is called
        when it may take messages again. Check every `look_again` seconds whether copies can be published again."""
        self._loop, self._publisher, self._look_again = loop, publisher, look_again
        self._resting, self._begun, self._over = resting, begun, over
        self._until = 0.0  # seconds of the monotonic clock
        self._for_copies = False

    def begin(self, seconds: float, reason: str) -> None:
        """Rest for `seconds`. A rest in progress that ends later stays."""
        ends = time.monotonic() + seconds
        if self._resting() and ends <= self._until:
            return
        self._begun(reason)
        if self._resting():
            self._until = ends
            self._loop.call_later(seconds, self._ended)

    def until_copies(self) -> None:
        """Rest until the copies' connection is up and the broker reads from it."""
        if not (self._for_copies and self._resting()):
            self._for_copies = True
            self._wait_for_copies()

    def explained(self, reason: str) -> str:
        """Return the reason of the present rest with the time of its end."""
        return f"{reason.rstrip('.')}; {next_attempt(self._until - time.monotonic(), time.time())}."

    def _wait_for_copies(self) -> None:
        reason = self._publisher.blocked or self._publisher.error or "connecting"
        self.begin(self._look_again, f"The broker accepts no copies of messages ({reason}).")

    def _ended(self) -> None:
        if time.monotonic() < self._until:
            return
        if self._for_copies and self._resting() and not self._publisher.accepts:
            self._wait_for_copies()
        else:
            self._for_copies = False
            self._over()
