"""Values that no well-meaning client writes into a message, byte by byte; and header values as they arrive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pika.data

_SIZES = {b"V": 0, b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"f": 4, b"D": 5, b"l": 8, b"L": 8,
          b"d": 8, b"T": 8}  # fmt: skip


class Raw(bytes):
    """A field value as it goes on the wire: its type (AMQP 0-9-1 §4.2.5.5) and its bytes."""


@contextmanager
def raw_values() -> Iterator[None]:
    """Within the block, pika writes Raw values of header tables as they are, and reads all values as Raw."""
    encode, decode = pika.data.encode_value, pika.data.decode_value

    def encode_raw(pieces: list[bytes], value: Any) -> int:
        if isinstance(value, Raw):
            pieces.append(bytes(value))
            return len(value)
        return encode(pieces, value)

    def decode_raw(encoded: bytes, offset: int) -> tuple[Raw, int]:
        start, letter = offset + 1, encoded[offset : offset + 1]
        length = _SIZES[letter] if letter in _SIZES else 4 + int.from_bytes(encoded[start : start + 4])
        return Raw(encoded[offset : start + length]), start + length

    pika.data.encode_value, pika.data.decode_value = encode_raw, decode_raw
    try:
        yield
    finally:
        pika.data.encode_value, pika.data.decode_value = encode, decode
