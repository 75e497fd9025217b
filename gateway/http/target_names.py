"""What a target's name leads to just now, for the person who creates a consumer. What counts is asked anew for every
connection (target.py)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from delivery.target_guard import Guard
from domain.target import Target


def addresses_of(host: str) -> list[str]:
    """The addresses of a host. Raises OSError, and UnicodeError for what is no name."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class TargetNames:
    """The guard's judgement of targets, names resolved. Thread-safe."""

    def __init__(
        self, guard: Guard, *, patience: float = 1.0, look_up: Callable[[str], Iterable[str]] | None = addresses_of
    ) -> None:
        """Wait `patience` seconds for `look_up`; the operating system's own limit may be half a minute. Without
        `look_up` names are not resolved: an egress proxy does that."""
        self._guard, self._patience, self._look_up = guard, patience, look_up

    def judge(self, target: Target) -> tuple[str | None, str | None]:
        """Why a consumer may not have this target, and what a person should know who gives it one that it may have:
        that its name leads nowhere just now. Sentences, or None."""
        if refusal := self._guard.check_target(target):
            return refusal, None
        if self._look_up is None:
            return None, None
        host = target.host
        addresses = self._addresses(host, self._look_up)
        if not addresses:
            return None, f"The name {host} leads to no address just now; deliveries are tried again until it does."
        refusals = [self._guard.check_address(address, host) for address in addresses]
        if all(refusals):
            reason = str(refusals[0])
            return reason if host in reason else f"{host} resolves to what is closed: {reason}", None
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
