"""The service's side of the renderer: sends messages to the process, receives payloads, and restarts it when it dies.

Several messages are in flight at once. The process answers them in order, so when it dies, it was rendering the first
message without an answer. All are rendered again, the first one in a fresh process: only if that one dies too, without
an external cause, is the message at fault, and not the messages that the process rendered before.
"""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson
import structlog

from delivery.copies import Source
from delivery.payload import described
from delivery.unsendable import BadTemplate, Failed, Unsendable
from gateway.loop import Loop, contained
from gateway.rendering.protocol import BAD_TEMPLATE, DONE, READY, Frame, Frames, packed

log = structlog.get_logger("workerrmq.delivery")

Rendered = Callable[[bytes | Unsendable], None]
"""Called with the payload, or with the error: BadTemplate if the template has a syntax error, Failed if the process
failed for a reason that is not the template's."""

_ROOT = Path(__file__).resolve().parents[2]
_CHUNK = 1 << 20
_EXTERNAL = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that end the process for an external reason: an operator sent them, the host is short of memory, or we killed
a process that did not answer."""


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
    in_flight: int = 2**20
    """bytes of messages that the process has without an answer; another message is sent only below"""
    silence: float = 30.0
    """maximum seconds for the process to start, or to answer the next message; then it is killed"""
    ends: int = 3
    """number of processes that end for an external reason while they render the same message, after which it fails"""
    longest_pause: float = 5.0
    """maximum seconds before the next start of a process that failed to start"""


@dataclass(slots=True)
class _Job:
    parts: Frame
    done: Rendered
    ends: int = 0


class Renderer:
    """Owned by the loop's thread. The process starts on first use."""

    def __init__(self, loop: Loop, limits: RenderLimits = RenderLimits()) -> None:
        self._loop, self._limits = loop, limits
        self._waiting: deque[_Job] = deque()
        self._sent: deque[_Job] = deque()  # jobs that the process has without an answer, in order
        self._in_flight = 0  # bytes of these
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._frames = Frames()
        self._outgoing = bytearray()
        self._writing = False
        self._ready = self._fresh = False  # whether the process has started; whether it has rendered nothing yet
        self._heard = 0.0  # when the process answered last, or had to begin; seconds of the monotonic clock
        self._failures = 0  # consecutive failed starts
        self._not_before = 0.0  # time of the next start; seconds of the monotonic clock
        self._failure = ""

    def render(self, template: str, source: Source, attempt: int, done: Rendered) -> None:
        """Render the payload of a message. `done` is called once, now or later on the loop's thread."""
        if len(source.body) > self._limits.body:
            limit = self._limits.body
            done(Unsendable(f"the message has {len(source.body)} bytes; a template takes at most {limit}"))
            return
        self._submit((template.encode(), orjson.dumps(described(source, attempt)), source.body), done)

    def compile(self, template: str, done: Rendered) -> None:
        """Check the syntax of a template. `done` gets an empty payload if it is valid, else the error."""
        self._submit((template.encode(), b"", b""), done)

    @property
    def hindrance(self) -> str:
        """A sentence if messages wait for a process that has not answered for a second; else empty."""
        silent = time.monotonic() - self._heard
        if not self._sent or silent < 1:
            return ""
        waiting = len(self._sent) + len(self._waiting)
        return f"The renderer has not answered for {silent:.0f} s. Messages that wait for it: {waiting}."

    def close(self) -> None:
        """Kill the process. The callbacks of unfinished jobs are never called."""
        self._waiting.clear()
        self._sent.clear()
        self._not_before, self._failure = math.inf, "the renderer is closed"
        self._disconnect()
        if self._process is not None:
            self._process.kill()  # it may be rendering
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)

    def _submit(self, parts: Frame, done: Rendered) -> None:
        self._waiting.append(_Job(parts, done))
        if self._process is None:
            self._start()
        else:
            self._loop.at_turn_end(self._flush)

    # --- the process -------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start a process for the waiting jobs. If it cannot be started, they fail."""
        if time.monotonic() < self._not_before:
            self._give_up()
            return
        try:
            ours, process = _spawned(self._limits)
            self._loop.add_handler(ours.fileno(), self._on_event, Loop.READ)
        except OSError as exc:
            self._failed(str(exc))
            return
        self._socket, self._process, self._frames = ours, process, Frames()
        self._ready, self._fresh, self._writing, self._heard = False, True, False, time.monotonic()
        self._loop.at_turn_end(self._flush)
        self._watch(process)

    def _failed(self, reason: str) -> None:
        pause = min(self._limits.longest_pause, 0.1 * 2 ** min(self._failures, 10))
        self._failures += 1
        self._not_before = time.monotonic() + pause
        self._failure = f"the renderer does not start: {reason}"
        log.error("renderer_failed", reason=reason, retry_in_seconds=pause)
        self._give_up()

    def _give_up(self) -> None:
        jobs, self._waiting = self._waiting, deque()
        for job in jobs:
            contained(job.done, Failed(self._failure))

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process that does not start or answer in time, for example because somebody stopped it."""
        if process is not self._process:
            return
        if (self._sent or not self._ready) and time.monotonic() - self._heard > self._limits.silence:
            log.error("renderer_silent", seconds=self._limits.silence)
            process.kill()
        self._loop.call_later(self._limits.silence / 4, partial(self._watch, process))

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._loop.remove_handler(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        """Wait, without blocking the loop, until the kernel has ended a process whose socket is closed."""
        if process is not self._process:
            return
        code = process.poll()
        if code is None:
            self._loop.call_later(0.005, partial(self._reap, process))
        else:
            self._ended(code)

    def _ended(self, code: int) -> None:
        job = self._sent[0] if self._sent else None
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()
        self._outgoing.clear()
        self._process, self._in_flight = None, 0
        if not self._ready:
            self._failed(f"it ended with status {code}")
            return
        log.warning("renderer_ended", status=code)
        fault = self._fault(job, -code) if job else None
        if job and fault:
            self._waiting.popleft()
            contained(job.done, fault)
        if self._waiting and self._process is None:  # the callback may have started one
            self._start()

    def _fault(self, job: _Job, number: int) -> Unsendable | None:
        """Return the result of the job that a process was rendering when it ended; None to render it again."""
        if number > 0 and number not in _EXTERNAL:
            return Unsendable(f"the template fails: {_ENDS.get(number, _CRASHED)}") if self._fresh else None
        job.ends += 1
        ended = f"{job.ends} renderers were killed or failed while they rendered the message"
        return Failed(ended) if job.ends >= self._limits.ends else None

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
        if not data and self._process is not None:
            self._disconnect()
            self._process.kill()  # it has exited, or exits now
            self._reap(self._process)
            return
        self._heard = time.monotonic()
        for verdict, reason, payload in self._frames.feed(data):
            if verdict == READY:
                self._ready, self._failures = True, 0
                continue
            job, self._fresh = self._sent.popleft(), False
            self._in_flight -= sum(map(len, job.parts))
            if verdict == DONE:
                contained(job.done, payload)
            else:
                kind = BadTemplate if verdict == BAD_TEMPLATE else Unsendable
                contained(job.done, kind(reason.decode(errors="replace")))
        self._loop.at_turn_end(self._flush)

    def _flush(self) -> None:
        """Send waiting jobs to the process, as long as it has few."""
        if self._socket is None:
            return
        while self._waiting and self._in_flight < self._limits.in_flight:
            if not self._sent:
                self._heard = time.monotonic()
            job = self._waiting.popleft()
            self._sent.append(job)
            self._in_flight += sum(map(len, job.parts))
            self._outgoing += packed(*job.parts)
        with suppress(OSError):  # the next read notices that the process has died
            while self._outgoing:
                sent = self._socket.send(memoryview(self._outgoing)[:_CHUNK])
                del self._outgoing[:sent]
        writing = bool(self._outgoing)
        if writing is not self._writing:
            self._writing = writing
            events = Loop.READ | Loop.WRITE if writing else Loop.READ
            self._loop.update_handler(self._socket.fileno(), events)


def _spawned(limits: RenderLimits) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a process, and return our end of its socket. Raises OSError."""
    ours, its = socket.socketpair()
    with its, ExitStack() as on_failure:
        on_failure.callback(ours.close)
        arguments = (str(limits.seconds), str(limits.seconds_per_mebibyte), str(limits.memory))
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.rendering", *arguments],
            stdin=its.fileno(),
            stdout=subprocess.DEVNULL,
            cwd=_ROOT,
            env={},  # the environment may contain secrets, and the process needs none
            start_new_session=True,  # Ctrl+C reaches only the service, which then closes the socket
        )
        ours.setblocking(False)
        on_failure.pop_all()
    return ours, process


_ENDS: dict[int, str] = {signal.SIGPROF: "it takes too much processor time"}
_CRASHED = "it crashes the renderer, or needs too much memory"
