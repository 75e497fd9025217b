"""Which delivery tags of one channel may be acked, in as few acks as that can be said."""

from __future__ import annotations


class AckWindow:
    """Delivery tags are 1, 2, 3 … on each channel (AMQP 0-9-1 §1.8.3.9 basic.ack), so a finished run from the lowest
    open one is acked at once with `multiple`. A slow delivery must not hold up what finished behind it: those are
    acked one by one, when asked to.
    """

    __slots__ = ("_finished", "_low", "_settled")

    def __init__(self) -> None:
        self._low = 0  # this tag and all below it are settled
        self._finished: set[int] = set()  # finished, not yet acked
        self._settled: set[int] = set()  # acked or nacked by itself, above the low mark

    def finish(self, tag: int) -> None:
        """The fate of `tag` is safe: it may be acked."""
        self._finished.add(tag)

    def settled(self, tag: int) -> None:
        """`tag` was settled otherwise (nacked); it must not be acked any more."""
        self._settled.add(tag)

    @property
    def stragglers(self) -> int:
        """Finished deliveries that wait behind an unfinished one, once `take` has run."""
        return len(self._finished)

    def take(self) -> int | None:
        """The tag to ack with `multiple`, or None. It is one that has not been acked before: RabbitMQ closes the
        channel with 406 for an unknown tag."""
        tag, last = self._low, None
        while True:
            if tag + 1 in self._finished:
                tag += 1
                self._finished.discard(tag)
                last = tag
            elif tag + 1 in self._settled:
                tag += 1
                self._settled.discard(tag)
            else:
                break
        self._low = tag
        return last

    def take_stragglers(self) -> list[int]:
        """The tags to ack one by one."""
        tags = sorted(self._finished)
        self._settled |= self._finished
        self._finished.clear()
        return tags
