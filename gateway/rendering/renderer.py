"""The service's side of the renderer: hands messages to the process, gets payloads back, and replaces it when it dies.

Several messages are with it at once, and are answered in order. So when it dies, the first without an answer was being
rendered, and the others are rendered again.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog

from delivery.copies import Source
from delivery.payload import described
from delivery.unsendable import BadTemplate, Unsendable
from gateway.loop import Loop
from gateway.rendering.protocol import BAD_TEMPLATE, DONE, READY, Frames, packed

log = structlog.get_logger("workerrmq.delivery")

Rendered = Callable[[bytes | Unsendable], None]
"""Takes the payload, or why there is none: BadTemplate where the template itself is at fault."""

_ROOT = Path(__file__).resolve().parents[2]
_CHUNK = 1 << 20
_EXTERNAL = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals by which others end the process: a person, or the kernel when memory is short."""


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """What one payload may cost."""

    seconds: float = 0.1
    """of processor time, and as much again for each `seconds_per_mebibyte` of the message's body"""
    seconds_per_mebibyte: float = 0.1
    memory: int = 512 * 2**20
    """bytes of the whole process"""
    body: int = 16 * 2**20
    """bytes of a message"""
    killed: int = 3
    """times that others end the process while it renders the same message, before that is taken for its fault"""
    longest_pause: float = 5.0
    """seconds, at most, before a process that does not start is started again"""


@dataclass(slots=True)
class _Job:
    frame: bytes
    done: Rendered
    killed: int = 0


class Renderer:
    """Owned by the loop's thread. The process runs from the first use on."""

    def __init__(self, loop: Loop, limits: RenderLimits = RenderLimits()) -> None:
        self._loop, self._limits = loop, limits
        self._jobs: deque[_Job] = deque()  # without an answer, in order
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._frames = Frames()
        self._outgoing = bytearray()
        self._writing = False
        self._ready = False  # whether the process has started
        self._failures = 0  # to start, in a row
        self._closed = False

    def render(self, template: str, source: Source, attempt: int, done: Rendered) -> None:
        """Render a message's payload. `done` is called once, from the loop."""
        if len(source.body) > self._limits.body:
            limit = self._limits.body
            done(Unsendable(f"the message has {len(source.body)} bytes; a template takes at most {limit}"))
            return
        self._submit(packed(template.encode(), orjson.dumps(described(source, attempt)), source.body), done)

    def compile(self, template: str, done: Rendered) -> None:
        """See whether a template is one. `done` gets an empty payload, or BadTemplate."""
        self._submit(packed(template.encode(), b"", b""), done)

    def close(self) -> None:
        """End the process. `done` of what it has is never called."""
        self._closed = True
        self._jobs.clear()
        self._end()

    def _submit(self, frame: bytes, done: Rendered) -> None:
        self._jobs.append(_Job(frame, done))
        if self._socket is not None:
            self._outgoing += frame
            self._loop.at_turn_end(self._flush)
        elif not self._failures:
            self._start()

    # --- the process -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start the process, and give it all that has no answer."""
        if self._closed or self._socket is not None:
            return
        ours, its = socket.socketpair()
        limits = self._limits
        arguments = (str(limits.seconds), str(limits.seconds_per_mebibyte), str(limits.memory))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway.rendering", *arguments],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=_ROOT,
                env={},  # it needs none of our secrets
                start_new_session=True,  # Ctrl+C is for the service, which then closes the socket
            )
        except OSError as exc:
            ours.close()
            self._restart_later(str(exc))
            return
        finally:
            its.close()
        ours.setblocking(False)
        self._socket, self._frames, self._ready = ours, Frames(), False
        self._outgoing = bytearray().join(job.frame for job in self._jobs)
        self._writing = False
        self._loop.add_handler(ours.fileno(), self._on_event, Loop.READ)
        self._loop.at_turn_end(self._flush)

    def _restart_later(self, reason: str) -> None:
        pause = min(self._limits.longest_pause, 0.1 * 2 ** min(self._failures, 10))
        self._failures += 1
        log.error("renderer_failed", reason=reason, retry_in_seconds=pause)
        self._loop.call_later(pause, self._start)

    def _end(self) -> int | None:
        """Let go of the process, and return how it ended."""
        if self._socket is not None:
            self._loop.remove_handler(self._socket.fileno())
            self._socket.close()
            self._socket = None
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            return process.wait(1)  # it has closed its end, or will see that ours is closed
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _died(self) -> None:
        code = self._end()
        if not self._ready or code is None or code >= 0:
            self._restart_later(f"it ended with status {code}")
            return
        log.warning("renderer_ended", signal=-code)
        if self._jobs and self._is_to_blame(self._jobs[0], -code):
            self._finish(self._jobs.popleft(), Unsendable(f"the template fails: {_ENDS.get(-code, _CRASHED)}"))
        if self._jobs:
            self._start()

    def _is_to_blame(self, job: _Job, number: int) -> bool:
        if number not in _EXTERNAL:
            return True
        job.killed += 1
        return job.killed >= self._limits.killed

    # --- its socket --------------------------------------------------------------------------------------------------

    def _on_event(self, _fd: int, events: int) -> None:
        if events & Loop.WRITE:
            self._flush()
        if events & ~Loop.WRITE and self._socket is not None:
            self._read(self._socket)

    def _read(self, peer: socket.socket) -> None:
        try:
            data = peer.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._died()
            return
        for verdict, reason, payload in self._frames.feed(data):
            if verdict == READY:
                self._ready, self._failures = True, 0
                continue
            job = self._jobs.popleft()
            if verdict == DONE:
                self._finish(job, payload)
            else:
                kind = BadTemplate if verdict == BAD_TEMPLATE else Unsendable
                self._finish(job, kind(reason.decode(errors="replace")))

    def _finish(self, job: _Job, result: bytes | Unsendable) -> None:
        try:
            job.done(result)
        except Exception:  # the others that it has rendered must not be lost
            log.exception("rendered_crashed")

    def _flush(self) -> None:
        if self._socket is None:
            return
        with suppress(OSError):  # a process that has died is noticed when its end is read
            while self._outgoing:
                sent = self._socket.send(memoryview(self._outgoing)[:_CHUNK])
                del self._outgoing[:sent]
        writing = bool(self._outgoing)
        if writing is not self._writing:
            self._writing = writing
            events = Loop.READ | Loop.WRITE if writing else Loop.READ
            self._loop.update_handler(self._socket.fileno(), events)


_ENDS: dict[int, str] = {signal.SIGPROF: "it takes too much processor time"}
_CRASHED = "it crashes the renderer"


def bad_template(template: str, limits: RenderLimits = RenderLimits()) -> str | None:
    """Why a template is none, with the line; None when it is one. Blocks for a tenth of a second; any thread may
    call."""
    results: list[Any] = []
    loop = Loop()
    renderer = Renderer(loop, limits)

    def done(result: bytes | Unsendable) -> None:
        results.append(result)
        renderer.close()
        loop.finish()

    loop.call_later(0, lambda: renderer.compile(template, done))
    loop.run()
    return str(results[0]) if isinstance(results[0], Unsendable) else None
