"""Counts the frames that a service sends to its broker, by a proxy that reads along."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from contextlib import suppress

ACK, CHANNEL_OPEN, QUEUE_DECLARE = (60, 80), (20, 10), (50, 10)
"""basic.ack, channel.open and queue.declare (AMQP 0-9-1 §1.8.3.13, §1.5.2.1, §1.7.2.1): class and method"""


class FrameCounter:
    """Forwards a loopback port to another, a thread for each direction; `sent` counts methods of the client."""

    def __init__(self, to_port: int) -> None:
        self.sent: Counter[tuple[int, int]] = Counter()
        self._to = to_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._forward, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._forward, args=(far, near, False), daemon=True).start()

    def _forward(self, reader: socket.socket, writer: socket.socket, count: bool) -> None:
        data, header = b"", 8  # the protocol header comes first
        with suppress(OSError):
            while chunk := reader.recv(65_536):
                writer.sendall(chunk)
                if count:
                    data += chunk
                    data, header = self._count(data[header:], 0) if len(data) >= header else (data, header)
        with suppress(OSError):
            writer.shutdown(socket.SHUT_WR)

    def _count(self, data: bytes, header: int) -> tuple[bytes, int]:
        while len(data) >= 7:
            kind, _, size = struct.unpack_from(">BHI", data)
            if len(data) < size + 8:
                break
            if kind == 1:  # a method frame (AMQP 0-9-1 §4.2.3)
                self.sent[struct.unpack_from(">HH", data, 7)] += 1
            data = data[size + 8 :]
        return data, header
