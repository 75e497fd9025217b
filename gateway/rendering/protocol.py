"""The protocol between the service and its renderer: frames of three parts, each with its length.

A request consists of a template, the description of a message as JSON (empty: only compile the template) and the body
of the message. An answer consists of a verdict, a reason and a payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_LENGTHS = struct.Struct("!III")

READY, DONE, BAD_TEMPLATE, UNSENDABLE = b"ready", b"done", b"bad template", b"unsendable"
"""Verdicts. A renderer sends READY once, after it has started."""

Frame = tuple[bytes, bytes, bytes]


def packed(first: bytes, second: bytes, third: bytes) -> bytes:
    """Return the encoded frame of three parts."""
    return b"".join((_LENGTHS.pack(len(first), len(second), len(third)), first, second, third))


class Frames:
    """Splits a stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes that arrived; yield the frames that are complete now."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _LENGTHS.size:
            lengths = _LENGTHS.unpack_from(self._buffer, at)
            end = at + _LENGTHS.size + sum(lengths)
            if len(self._buffer) < end:
                break
            middle = at + _LENGTHS.size + lengths[0]
            whole = bytes(self._buffer[at:end])
            yield (
                whole[_LENGTHS.size : middle - at],
                whole[middle - at : middle - at + lengths[1]],
                whole[middle - at + lengths[1] :],
            )
            at = end
        del self._buffer[:at]
