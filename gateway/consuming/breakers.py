"""The breakers of a thread: one for each target, shared by the consumers that deliver to it."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

import structlog

from delivery.breaker import Breaker, State
from domain.consumer import BreakerPolicy, ConsumerSpec
from gateway.amqp.loop import Loop

log = structlog.get_logger("workerrmq.delivery")


class Member(Protocol):
    """A consumer, as its breaker sees it."""

    def breaker_opened(self) -> None: ...

    def breaker_probes(self) -> None: ...

    def breaker_closed(self) -> None: ...


class TargetBreaker:
    """Owned by the loop's thread."""

    def __init__(self, loop: Loop, target: str, policy: BreakerPolicy) -> None:
        self._loop, self._policy = loop, policy
        self._breaker = Breaker(policy)
        self.target = target
        self.members: set[Member] = set()

    @property
    def closed(self) -> bool:
        return self._breaker.state is State.CLOSED

    @property
    def half_open(self) -> bool:
        return self._breaker.state is State.HALF_OPEN

    def take_probe(self) -> bool:
        """Whether the caller may send the one message that tries."""
        return self._breaker.take_probe()

    def answered(self, failed: bool, *, probe: bool = False) -> None:
        if not self._breaker.answered(failed, probe=probe):
            return
        if self.closed:
            log.info("breaker_closed", target=self.target)
            for member in list(self.members):
                member.breaker_closed()
            return
        log.warning("breaker_opened", target=self.target, open_seconds=self._policy.open_seconds)
        self._loop.call_later(self._policy.open_seconds, self._half_open)
        for member in list(self.members):
            member.breaker_opened()

    def not_asked(self, *, probe: bool = False) -> None:
        """The target has not heard of the message: that says nothing of its health, and another may try."""
        if probe:
            self._breaker.drop_probe()
            for member in list(self.members):
                member.breaker_probes()

    def _half_open(self) -> None:
        self._breaker.half_open()
        for member in list(self.members):
            member.breaker_probes()


class Breakers:
    """Finds the breaker of a consumer. Consumers with other policies for the same target do not share one."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._breakers: dict[tuple[str, BreakerPolicy], TargetBreaker] = {}

    def of(self, spec: ConsumerSpec) -> TargetBreaker:
        """The breaker of its target, which it may join."""
        parts = urlsplit(spec.url)
        target = f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"
        breaker = self._breakers.get((target, spec.breaker))
        if breaker is None:
            breaker = self._breakers[target, spec.breaker] = TargetBreaker(self._loop, target, spec.breaker)
        return breaker

    def join(self, member: Member, breaker: TargetBreaker) -> None:
        """From now on the member hears of it."""
        breaker.members.add(member)

    def leave(self, member: Member, breaker: TargetBreaker) -> None:
        """The member hears no more; a breaker that nobody needs is forgotten."""
        breaker.members.discard(member)
        if not breaker.members and breaker.closed:
            self._breakers = {key: one for key, one in self._breakers.items() if one is not breaker}
