"""The renderer: a process that renders one payload after another. Any template may crash it.

It exits when the service closes its socket, which is its standard input. The kernel limits its memory, and kills it
with SIGPROF when a payload takes too much processor time.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from contextlib import suppress

import orjson

from delivery.payload_template import TemplateRenderer
from delivery.unsendable import BadTemplate, Unsendable
from gateway.rendering.protocol import BAD_TEMPLATE, DONE, READY, UNSENDABLE, Frame, Frames, packed


def main(seconds: float, seconds_per_mebibyte: float, memory: int) -> None:
    """Serve until the socket is closed. A payload may take `seconds` of processor time, and `seconds_per_mebibyte` more
    for each MiB of the body. The process may use `memory` bytes."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    renderer, frames = TemplateRenderer(), Frames()
    with suppress(BrokenPipeError, ConnectionResetError), socket.socket(fileno=0) as peer:
        peer.sendall(packed(READY, b"", b""))
        while data := peer.recv(1 << 20):
            for frame in frames.feed(data):
                signal.setitimer(signal.ITIMER_PROF, seconds + seconds_per_mebibyte * len(frame[2]) / 2**20)
                answer = _answer(renderer, frame)
                signal.setitimer(signal.ITIMER_PROF, 0)
                peer.sendall(answer)  # before the next payload, which may crash the process


def _answer(renderer: TemplateRenderer, frame: Frame) -> bytes:
    template, described, body = frame
    try:
        if not described:
            renderer.compile(template.decode())
            return packed(DONE, b"", b"")
        return packed(DONE, b"", renderer.render(template.decode(), orjson.loads(described), body))
    except BadTemplate as exc:
        return packed(BAD_TEMPLATE, str(exc).encode(errors="replace"), b"")
    except Unsendable as exc:
        return packed(UNSENDABLE, str(exc).encode(errors="replace"), b"")
    except BaseException:  # noqa: BLE001 - minijinja's panics do not derive from Exception
        os.abort()  # earlier messages may be the cause, for example of a MemoryError, so the service tries again


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
