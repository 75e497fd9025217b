"""Publisher confirms of one channel (RabbitMQ docs: confirms)."""

from __future__ import annotations

from collections.abc import Callable


class Confirms:
    """Numbers a channel's messages from 1 and calls `report(tag, multiple, taken)` as few times as possible."""

    def __init__(self, report: Callable[[int, bool, bool], None]) -> None:
        self._report = report
        self._last = 0
        self._outstanding: dict[int, None] = {}
        self._taken: list[int] = []

    @property
    def outstanding(self) -> int:
        """Messages not confirmed yet."""
        return len(self._outstanding)

    def next(self) -> int:
        """Return the number of the next message."""
        self._last += 1
        self._outstanding[self._last] = None
        return self._last

    def confirm(self, tag: int) -> None:
        """Confirm a message with the next `flush`."""
        self._taken.append(tag)

    def refuse(self, tag: int) -> None:
        """Report a message that a queue refused."""
        del self._outstanding[tag]
        self._report(tag, False, False)

    def flush(self) -> None:
        """Report the confirmed messages: those below the first outstanding one with a single ack, the rest one by
        one.
        """
        if not self._taken:
            return
        taken, self._taken = sorted(self._taken), []
        for tag in taken:
            del self._outstanding[tag]
        first = next(iter(self._outstanding), self._last + 1)
        below = [tag for tag in taken if tag < first]
        if below:
            self._report(below[-1], len(below) > 1, True)
        for tag in taken[len(below) :]:
            self._report(tag, False, True)
