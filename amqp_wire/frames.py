"""Frames (AMQP 0-9-1 §2.3.5, §4.2): type, channel and size, payload, end octet."""

from __future__ import annotations

import struct

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME = struct.Struct(">BHI")
FRAME_END = b"\xce"
FRAME_OVERHEAD = FRAME.size + len(FRAME_END)
"""Bytes of a frame without its payload."""
HEARTBEAT_FRAME = FRAME.pack(HEARTBEAT, 0, 0) + FRAME_END

BASIC = 60
"""The class id of all methods that carry content."""
CONTENT = struct.Struct(">HHQ")
"""The fields of a header frame before the properties: class id, weight (unused), body size in bytes."""


def method_frame(channel: int, payload: bytes) -> bytes:
    """Wrap a method's payload in a frame."""
    return FRAME.pack(METHOD, channel, len(payload)) + payload + FRAME_END


def content_frames(channel: int, payload: bytes, properties: bytes, body: bytes, frame_max: int) -> bytes:
    """Encode the method, header and body frames of one message; `frame_max` in bytes, 0 for no limit."""
    size = len(body)
    head = (FRAME.pack(METHOD, channel, len(payload)), payload, FRAME_END,
            FRAME.pack(HEADER, channel, CONTENT.size + len(properties)), CONTENT.pack(BASIC, 0, size), properties,
            FRAME_END)  # fmt: skip
    room = frame_max - FRAME_OVERHEAD if frame_max else size
    if 0 < size <= room:
        return b"".join((*head, FRAME.pack(BODY, channel, size), body, FRAME_END))
    pieces = [body[at : at + room] for at in range(0, size, room)] if size else []
    return b"".join((*head, *(part for piece in pieces
                              for part in (FRAME.pack(BODY, channel, len(piece)), piece, FRAME_END))))  # fmt: skip
