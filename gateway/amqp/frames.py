"""A message as the bytes of its frames: basic.publish, its header, its body (AMQP 0-9-1 §2.3.5, §4.2), in one piece.

pika makes objects of each frame first, and writes them one by one.
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
    """Return the frames that publish a message on a channel, mandatory; `frame_max` is in bytes, 0 for no limit.

    Raises TypeError and ValueError for values that AMQP cannot hold, and when the header does not fit a frame. A header
    is never split (§4.2.6), and the broker closes the connection, with the messages of all others, over a frame that is
    too large.
    """
    properties = encode(_values(message.properties))
    size = CONTENT.size + len(properties) + FRAME_OVERHEAD
    if 0 < frame_max < size:
        raise ValueError(f"its properties and headers take {size} bytes, more than a frame has")
    address = short_string(message.exchange) + short_string(message.routing_key)
    return content_frames(channel, _PUBLISH + address + _MANDATORY, properties, message.body, frame_max)
