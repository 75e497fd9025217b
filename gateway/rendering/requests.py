"""Builds requests, with a body from the consumer's template if it has one."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from delivery.copies import Source
from delivery.request import Content, Request, RequestBuilder
from delivery.unsendable import Unsendable
from gateway.rendering.renderer import Renderer

Made = Callable[[Request | Unsendable], None]
"""Called with the request, or with the error if none can be built."""


def make(requests: RequestBuilder, renderer: Renderer, source: Source, attempt: int, done: Made) -> None:
    """Build the request for one message. `done` is called once, now or later on the renderer's loop."""
    if requests.template is not None:
        make_content(requests, renderer, source, attempt, partial(_complete, requests, source, attempt, done))
        return
    try:
        request: Request | Unsendable = requests.build(source, attempt, time.time())
    except Unsendable as exc:
        request = exc
    done(request)


def make_content(
    requests: RequestBuilder,
    renderer: Renderer,
    source: Source,
    attempt: int,
    done: Callable[[Content | Unsendable], None],
) -> None:
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
    done(request)
