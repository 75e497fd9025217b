"""Renders for requests of the API, each by a renderer that is started for it."""

from __future__ import annotations

from collections.abc import Callable
from threading import BoundedSemaphore
from typing import TypeVar

from delivery.unsendable import Failed, Unsendable
from domain.errors import RendererUnavailable
from gateway.loop import Loop
from gateway.rendering.renderer import Renderer, RenderLimits

Result = TypeVar("Result")


class OnceRenderers:
    """Thread-safe."""

    def __init__(
        self,
        limits: RenderLimits = RenderLimits(),  # noqa: B008 - immutable
        *,
        at_once: int = 4,
        longest: float = 10.0,
    ) -> None:
        """At most `at_once` renderers run. Waiting and rendering may each take `longest` seconds."""
        self._limits, self._longest = limits, longest
        self._free = BoundedSemaphore(at_once)

    def run(self, work: Callable[[Renderer, Callable[[Result], None]], None]) -> Result:
        """Call `work` with a renderer on a separate loop, and return the result that `work` passes to its callback.
        Raises what `work` raises, and RendererUnavailable when it takes too long."""
        if not self._free.acquire(timeout=self._longest):
            raise RendererUnavailable("Too many templates are being rendered. Retry shortly.")
        try:
            return self._run(work)
        finally:
            self._free.release()

    def _run(self, work: Callable[[Renderer, Callable[[Result], None]], None]) -> Result:
        loop = Loop()
        renderer = Renderer(loop, self._limits)
        results: list[Result] = []
        errors: list[Exception] = []

        def end() -> None:
            renderer.close()
            loop.finish()

        def done(result: Result) -> None:
            if isinstance(result, Failed):
                errors.append(RendererUnavailable(f"The template was not rendered: {result}. Retry shortly."))
            else:
                results.append(result)
            end()

        def start() -> None:
            try:
                work(renderer, done)
            except Exception as exc:  # noqa: BLE001 - raised again below
                errors.append(exc)
                end()

        loop.call_later(0, start)
        loop.call_later(self._longest, end)
        loop.run()
        if errors:
            raise errors[0]
        if not results:
            raise RendererUnavailable("The template was not rendered in time. Retry shortly.")
        return results[0]

    def template_fault(self, template: str) -> str | None:
        """Return the syntax error of a template, with the line; None if it has none. Raises RendererUnavailable."""

        def compiled(renderer: Renderer, done: Callable[[bytes | Unsendable], None]) -> None:
            renderer.compile(template, done)

        result = self.run(compiled)
        return str(result) if isinstance(result, Unsendable) else None
