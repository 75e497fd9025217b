"""Builds one request to a consumer's target like those of a worker, without a queue, and sends it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from delivery.copies import Source, attempts_charged
from delivery.request import Request, RequestBuilder
from delivery.target_guard import Guard
from delivery.unsendable import Unsendable
from domain.auth import ApiKeyAuth
from domain.consumer import ConsumerSpec
from domain.credentials import masked_headers, masked_url
from domain.model import MASK
from domain.outcome import Answer, ErrorClass
from domain.registry import RegisteredConsumer
from domain.url_template import UrlTemplate
from gateway.http.client import HttpClient
from gateway.http.egress import DIRECT, Egress
from gateway.loop import Loop
from gateway.rendering.renderer import Renderer
from gateway.rendering.requests import make


def send_sample(
    consumer: RegisteredConsumer, source: Source, guard: Guard, longest: float = 10.0, egress: Egress = DIRECT
) -> Answer:
    """Return the target's answer. Blocks for about `longest` seconds at most. Thread-safe."""
    spec = consumer.spec.model_copy(update={"timeout": min(consumer.spec.timeout, longest)})
    answers: list[Answer] = []

    def send(loop: Loop, request: Request | Unsendable) -> None:
        client = HttpClient(loop, guard, egress=egress)

        def done(answer: Answer) -> None:
            if not answers:
                answers.append(answer)
                client.close()
                loop.finish()

        if isinstance(request, Unsendable):
            done(request.answer)
            return
        late = Answer(None, ErrorClass.TIMEOUT, f"no answer within {longest:g} s, the token included", longest)
        # A token, a request and another token take longer together.
        loop.call_later(longest * 1.1, lambda: done(late))
        client.target(spec).send(request.headers, request.body, done, request.url)

    _run(spec, consumer, source, send)
    return answers[0]


def request_of(consumer: RegisteredConsumer, source: Source) -> Request | Unsendable:
    """The request that a worker would send, or why it would send none; with a URL, and its credentials masked. Any
    thread may call."""
    url = UrlTemplate(masked_url(consumer.spec.url))
    spec = consumer.spec.model_copy(update={"url": url, "headers": masked_headers(consumer.spec.headers)})
    made: list[Request | Unsendable] = []

    def done(loop: Loop, request: Request | Unsendable) -> None:
        made.append(request)
        loop.finish()

    _run(spec, consumer, source, done)
    [request] = made
    if isinstance(request, Unsendable):
        return request
    headers = [line for line in request.headers if line != "Expect:"]  # which keeps curl from sending one
    sent_to = request.url or url
    if isinstance(spec.auth, ApiKeyAuth) and spec.auth.in_ == "query":
        sent_to += f"{'&' if '?' in sent_to else '?'}{quote(spec.auth.name, safe='')}={MASK}"
    elif spec.auth is not None:
        headers.append(f"{spec.auth.sets_header}: {MASK}")
    return request._replace(headers=headers, url=sent_to)


def _run(
    spec: ConsumerSpec,
    consumer: RegisteredConsumer,
    source: Source,
    made: Callable[[Loop, Request | Unsendable], None],
) -> None:
    """Make a request on a loop, which `made` ends."""
    loop = Loop()
    renderer = Renderer(loop)

    def done(request: Request | Unsendable) -> None:
        renderer.close()
        made(loop, request)

    def start() -> None:
        try:
            requests = RequestBuilder(spec, consumer.retiring_secrets)
            make(requests, renderer, source, attempts_charged(source.properties.headers) + 1, done)
        except Exception:
            loop.finish()
            raise

    loop.call_later(0, start)
    loop.run()
