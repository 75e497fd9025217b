"""Builds requests, with a body from the consumer's template if it has one."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import structlog

from delivery.copies import Source
from delivery.request import Content, Request, RequestBuilder
from delivery.unsendable import Failed, Unsendable
from gateway.rendering.renderer import Renderer

log = structlog.get_logger("workerrmq.delivery")

Made = Callable[[Request | Unsendable], None]
"""Called with the request, or with the error if none can be built."""
ContentMade = Callable[[Content | Unsendable], None]
"""Called with the payload, or with the error if none can be made."""


def built(requests: RequestBuilder, source: Source, attempt: int) -> Request | Unsendable:
    """Return the request for one message, whose body needs no template."""
    try:
        return requests.build(source, attempt, time.time())
    except Unsendable as exc:
        return exc


def make(requests: RequestBuilder, renderer: Renderer, source: Source, attempt: int, done: Made) -> None:
    """Build the request for one message. `done` is called once, now or later on the renderer's loop. A failure of
    the service is raised now, or becomes Failed later."""
    if requests.template is None:
        done(built(requests, source, attempt))
        return
    make_content(requests, renderer, source, attempt, partial(_complete, requests, source, attempt, done))


def make_content(requests: RequestBuilder, renderer: Renderer, source: Source, attempt: int, done: ContentMade) -> None:
    """Make the payload of one message. `done` is called once, now or later on the renderer's loop."""

    def rendered(body: bytes | Unsendable) -> None:
        done(body if isinstance(body, Unsendable) else requests.rendered(body))

    try:
        if requests.template is not None:
            requests.admit(source)
            renderer.render(requests.template, source, attempt, rendered)
            return
        content: Content | Unsendable = requests.content(source, attempt)
    except Unsendable as exc:
        content = exc
    done(content)


def _complete(
    requests: RequestBuilder, source: Source, attempt: int, done: Made, content: Content | Unsendable
) -> None:
    if isinstance(content, Unsendable):
        done(content)
        return
    try:
        request: Request | Unsendable = requests.of(source, attempt, time.time(), content)
    except Unsendable as exc:
        request = exc
    except Exception as exc:  # the caller has gone on, and could not answer
        log.exception("rendered_crashed")
        request = Failed.by(exc)
    done(request)
