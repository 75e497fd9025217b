"""Encodes a message as the bytes of its frames: basic.publish, header, body (AMQP 0-9-1 §2.3.5, §4.2).

It replaces pika's encoding, which creates an object for each frame and writes the frames one by one.
"""

from __future__ import annotations

import struct
from operator import attrgetter

from amqp_wire.frames import BASIC, CONTENT, FRAME_OVERHEAD, content_frames
from amqp_wire.properties import PROPERTIES, encode
from amqp_wire.spans import short_string
from domain.message import Message

_PUBLISH, _MANDATORY = struct.pack(">HHH", BASIC, 40, 0), b"\x01"
_values = attrgetter(*PROPERTIES)


def publish_frames(channel: int, frame_max: int, message: Message) -> bytes:
    """Return the frames that publish a message on a channel, mandatory; `frame_max` is in bytes, 0 means no limit.

    Raises ValueError if the header does not fit into one frame: a header is never split (§4.2.6), and the broker closes
    the connection, with the messages of all clients, for a frame that is too large. Raises TypeError and ValueError for
    values that AMQP cannot represent.
    """
    properties = encode(_values(message.properties))
    size = CONTENT.size + len(properties) + FRAME_OVERHEAD
    if 0 < frame_max < size:
        raise ValueError(f"its properties and headers take {size} bytes, but a frame has at most {frame_max}")
    address = short_string(message.exchange) + short_string(message.routing_key)
    return content_frames(channel, _PUBLISH + address + _MANDATORY, properties, message.body, frame_max)
