"""Checks the addresses of a target's name when a consumer is created, for early feedback. The check of each connection
decides (target.py)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from delivery.target_guard import Guard
from domain.target import Target


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host. Raises OSError, and UnicodeError for an invalid name."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class TargetNames:
    """Applies the guard to targets after resolving their names. Thread-safe."""

    def __init__(
        self, guard: Guard, *, patience: float = 1.0, look_up: Callable[[str], Iterable[str]] | None = addresses_of
    ) -> None:
        """Wait at most `patience` seconds for `look_up`; the operating system's own limit may be half a minute. Without
        `look_up` names are not resolved: an egress proxy does that."""
        self._guard, self._patience, self._look_up = guard, patience, look_up

    def judge(self, target: Target) -> tuple[str | None, str | None]:
        """Return two sentences, each or None: why the target is not allowed, and a warning about an allowed target
        whose name does not resolve."""
        if refusal := self._guard.check_target(target):
            return refusal, None
        if self._look_up is None:
            return None, None
        host = target.host
        addresses = self._addresses(host, self._look_up)
        if not addresses:
            return None, f"The name {host} does not resolve to an address now; deliveries are retried until it does."
        refusals = [self._guard.check_address(address, host) for address in addresses]
        if all(refusals):
            reason = str(refusals[0])
            return reason if host in reason else f"All addresses of {host} are refused: {reason}", None
        return None, None

    def _addresses(self, host: str, look_up: Callable[[str], Iterable[str]]) -> list[str]:
        found: list[str] = []

        def look() -> None:
            with suppress(OSError, UnicodeError):
                found.extend(look_up(host))

        thread = threading.Thread(target=look, name="workerrmq-names", daemon=True)
        thread.start()
        thread.join(self._patience)
        return list(found)
