"""Requests whose body a template makes."""

from __future__ import annotations

import time
from collections.abc import Callable

from delivery.copies import Source
from delivery.request import Request, RequestBuilder
from delivery.unsendable import Unsendable
from gateway.rendering.renderer import Renderer

Made = Callable[[Request | Unsendable], None]
"""Takes the request, or why there is none."""


def make(requests: RequestBuilder, renderer: Renderer, source: Source, attempt: int, done: Made) -> None:
    """Make the request for one message; `done` is called once, now or later on the loop of the renderer."""

    def rendered(body: bytes | Unsendable) -> None:
        if isinstance(body, Unsendable):
            done(body)
            return
        try:
            request: Request | Unsendable = requests.of_rendered(source, attempt, time.time(), body)
        except Unsendable as exc:
            request = exc
        done(request)

    try:
        requests.admit(source)
        if requests.template is not None:
            renderer.render(requests.template, source, attempt, rendered)
            return
        request: Request | Unsendable = requests.build(source, attempt, time.time())
    except Unsendable as exc:
        request = exc
    done(request)
