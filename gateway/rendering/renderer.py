"""The service's side of the renderer: sends messages to the process, receives payloads, and restarts it when it dies.

Several messages are in flight at once. The process answers them in order, so when it dies, it was rendering the first
message without an answer. The others are rendered again.
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

import orjson
import structlog

from delivery.copies import Source
from delivery.payload import described
from delivery.unsendable import BadTemplate, Unsendable
from gateway.loop import Loop
from gateway.rendering.protocol import BAD_TEMPLATE, DONE, READY, Frames, packed

log = structlog.get_logger("workerrmq.delivery")

Rendered = Callable[[bytes | Unsendable], None]
"""Called with the payload, or with the error; BadTemplate if the template has a syntax error."""

_ROOT = Path(__file__).resolve().parents[2]
_CHUNK = 1 << 20
_EXTERNAL = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that end the process for an external reason: an operator sent them, or the host is short of memory."""


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """Limits for rendering a payload."""

    seconds: float = 0.1
    """processor time for a payload"""
    seconds_per_mebibyte: float = 0.1
    """additional processor time for each MiB of the message's body"""
    memory: int = 512 * 2**20
    """bytes of address space of the process"""
    body: int = 16 * 2**20
    """bytes of a message's body"""
    killed: int = 3
    """number of external kills of the process while it renders the same message, after which the message fails"""
    longest_pause: float = 5.0
    """maximum seconds before the next start of a process that failed to start"""


@dataclass(slots=True)
class _Job:
    frame: bytes
    done: Rendered
    killed: int = 0


class Renderer:
    """Owned by the loop's thread. The process starts on first use."""

    def __init__(self, loop: Loop, limits: RenderLimits = RenderLimits()) -> None:
        self._loop, self._limits = loop, limits
        self._jobs: deque[_Job] = deque()  # jobs without an answer, in order
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._frames = Frames()
        self._outgoing = bytearray()
        self._writing = False
        self._ready = False  # whether the process has started
        self._failures = 0  # consecutive failed starts
        self._closed = False

    def render(self, template: str, source: Source, attempt: int, done: Rendered) -> None:
        """Render the payload of a message. `done` is called once, on the loop's thread."""
        if len(source.body) > self._limits.body:
            limit = self._limits.body
            done(Unsendable(f"the message has {len(source.body)} bytes; a template takes at most {limit}"))
            return
        self._submit(packed(template.encode(), orjson.dumps(described(source, attempt)), source.body), done)

    def compile(self, template: str, done: Rendered) -> None:
        """Check the syntax of a template. `done` gets an empty payload if it is valid, else the error."""
        self._submit(packed(template.encode(), b"", b""), done)

    def close(self) -> None:
        """Kill the process. The callbacks of unfinished jobs are never called."""
        self._closed = True
        self._jobs.clear()
        if self._process is not None:
            self._process.kill()  # it may be rendering
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
        """Start the process and send it all jobs without an answer."""
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
                env={},  # the environment may contain secrets, and the process needs none
                start_new_session=True,  # Ctrl+C reaches only the service, which then closes the socket
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
        """Close the socket, wait for the process to exit, and return its exit status; None if none runs."""
        if self._socket is not None:
            self._loop.remove_handler(self._socket.fileno())
            self._socket.close()
            self._socket = None
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            return process.wait(1)  # it has exited, or exits because the socket is closed
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
        except Exception:  # a callback that fails must not lose the other payloads
            log.exception("rendered_crashed")

    def _flush(self) -> None:
        if self._socket is None:
            return
        with suppress(OSError):  # the next read notices that the process has died
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
