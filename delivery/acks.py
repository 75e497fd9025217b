"""The delivery tags of one channel that may be acked, combined into as few acks as possible."""

from __future__ import annotations


class AckWindow:
    """Tracks finished deliveries. Tags are 1, 2, 3 … on each channel (AMQP 0-9-1 §1.8.3.9 basic.ack), so one ack with
    `multiple` covers a finished run that starts at the lowest open tag. A slow delivery must not delay the acks of
    later ones: `take_stragglers` returns those for individual acks.
    """

    __slots__ = ("_finished", "_low", "_settled")

    def __init__(self) -> None:
        self._low = 0  # this tag and all below it are settled
        self._finished: set[int] = set()  # finished, not yet acked
        self._settled: set[int] = set()  # acked or nacked by itself, above the low mark

    def finish(self, tag: int) -> None:
        """Note that `tag` may be acked."""
        self._finished.add(tag)

    def settled(self, tag: int) -> None:
        """Note that `tag` was settled in another way (nacked) and must not be acked."""
        self._settled.add(tag)

    @property
    def stragglers(self) -> int:
        """The number of finished deliveries behind an unfinished one; valid after `take`."""
        return len(self._finished)

    def take(self) -> int | None:
        """Return the tag to ack with `multiple`, or None. It never returns a tag twice: RabbitMQ closes the channel
        with 406 for an unknown tag."""
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
        """Return the stragglers' tags, to ack one by one."""
        tags = sorted(self._finished)
        self._settled |= self._finished
        self._finished.clear()
        return tags
