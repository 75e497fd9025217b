"""Values that no well-meaning client writes into a message, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika.data


class Raw(bytes):
    """A field value as it goes on the wire: its type (AMQP 0-9-1 §4.2.5.5) and its bytes."""


@contextmanager
def raw_values() -> Iterator[None]:
    """Within the block, pika writes Raw values of header tables as they are."""
    encode = pika.data.encode_value

    def encode_raw(pieces: list[bytes], value: Any) -> int:
        if isinstance(value, Raw):
            pieces.append(bytes(value))
            return len(value)
        return encode(pieces, value)

    pika.data.encode_value = encode_raw
    try:
        yield
    finally:
        pika.data.encode_value = encode
