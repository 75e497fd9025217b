"""The renderer's real process, on a loop that runs while a test waits, and the faults that a test makes on it."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from delivery.copies import Source
from delivery.unsendable import Unsendable
from domain.message import Properties
from gateway.loop import Loop
from gateway.rendering.renderer import Renderer, RenderLimits

Result = bytes | Unsendable


class Renderings:
    """A renderer on a loop that runs while it waits."""

    def __init__(self, **limits: Any) -> None:
        self.loop = Loop()
        self.loop.activate_poller()
        self.renderer = Renderer(self.loop, RenderLimits(**limits))

    def submit(self, template: str, done: Callable[[Result], None], body: bytes = b"{}") -> None:
        source = Source("orders", "shop", "order.created", Properties(), body, "m-1")
        self.renderer.render(template, source, 1, done)

    def all(self, *templates: str, body: bytes = b"{}") -> list[Result]:
        """Render a message by each of these templates, all at once, and return the results as they come."""
        found: list[Result] = []
        for template in templates:
            self.submit(template, found.append, body)
        self.until(lambda: len(found) >= len(templates))
        return found

    def until(self, condition: Callable[[], Any]) -> None:
        """Run the loop until a condition holds."""

        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "the condition does not hold"
            self.loop.poll()
            self.loop.process_timeouts()

    def close(self) -> None:
        self.renderer.close()
        self.loop.deactivate_poller()
        self.loop.close()


def renderers() -> list[int]:
    """Return the ids of this process's renderers."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    ids = [int(one) for path in children for one in path.read_text().split()]
    return [one for one in ids if "gateway.rendering" in Path(f"/proc/{one}/cmdline").read_text()]


def seconds_computed(process: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def stopped_renderer() -> Iterator[int]:
    """Stop this process's only renderer during the block; give its id."""
    [one] = renderers()
    os.kill(one, signal.SIGSTOP)
    try:
        yield one
    finally:
        with suppress(ProcessLookupError):  # it may have been killed
            os.kill(one, signal.SIGCONT)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Leave this process without a free file descriptor during the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
