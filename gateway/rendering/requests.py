"""Builds requests, with a body from the consumer's template if it has one."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from delivery.copies import Source
from delivery.request import Request, RequestBuilder
from delivery.unsendable import Failed, Unsendable
from gateway.rendering.renderer import Renderer

log = structlog.get_logger("workerrmq.delivery")

Made = Callable[[Request | Unsendable], None]
"""Called with the request, or with the error if none can be built."""


def make(requests: RequestBuilder, renderer: Renderer, source: Source, attempt: int, done: Made) -> None:
    """Build the request for one message. `done` is called once, now or later on the renderer's loop. A failure of
    the service is raised now, or becomes Failed later."""
    try:
        if requests.template is not None:
            requests.admit(source)
            _render(requests, requests.template, renderer, source, attempt, done)
            return
        request: Request | Unsendable = requests.build(source, attempt, time.time())
    except Unsendable as exc:
        request = exc
    done(request)


def _render(
    requests: RequestBuilder, template: str, renderer: Renderer, source: Source, attempt: int, done: Made
) -> None:
    def rendered(body: bytes | Unsendable) -> None:
        if isinstance(body, Unsendable):
            done(body)
            return
        try:
            request: Request | Unsendable = requests.of_rendered(source, attempt, time.time(), body)
        except Unsendable as exc:
            request = exc
        except Exception as exc:  # the caller has gone on, and could not answer
            log.exception("rendered_crashed")
            request = Failed.by(exc)
        done(request)

    renderer.render(template, source, attempt, rendered)
