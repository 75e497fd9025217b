"""Builds one request to a consumer's target like those of a worker, without a queue, and sends it."""

from __future__ import annotations

from delivery.batch import BatchBuilder
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
from gateway.http.authorizers import with_parameter
from gateway.http.client import HttpClient
from gateway.http.egress import DIRECT, Egress
from gateway.loop import Loop
from gateway.rendering.once import OnceRenderers
from gateway.rendering.renderer import Renderer
from gateway.rendering.requests import Made, make, make_content


def send_sample(
    consumer: RegisteredConsumer,
    source: Source,
    renderers: OnceRenderers,
    guard: Guard,
    longest: float = 10.0,
    egress: Egress = DIRECT,
) -> Answer:
    """Return the target's answer. The request blocks for about `longest` seconds at most. Raises RendererUnavailable.
    Thread-safe."""
    spec = consumer.spec.model_copy(update={"timeout": min(consumer.spec.timeout, longest)})
    request = _request(spec, consumer, source, renderers)
    if isinstance(request, Unsendable):
        return request.answer
    answers: list[Answer] = []
    loop = Loop()
    client = HttpClient(loop, guard, egress=egress)

    def done(answer: Answer) -> None:
        if not answers:
            answers.append(answer)
            client.close()
            loop.finish()

    late = Answer(None, ErrorClass.TIMEOUT, f"no answer within {longest:g} s, the token included", longest)
    # A token, a request and another token take longer together.
    loop.call_later(longest * 1.1, lambda: done(late))
    client.target(spec).send(request.headers, request.body, done, request.url)
    loop.run()
    return answers[0]


def request_of(consumer: RegisteredConsumer, source: Source, renderers: OnceRenderers) -> Request | Unsendable:
    """Return the request that a worker would send, with its URL and with masked credentials, or the reason why it would
    send none. Raises RendererUnavailable. Thread-safe."""
    url = UrlTemplate(masked_url(consumer.spec.url))
    spec = consumer.spec.model_copy(update={"url": url, "headers": masked_headers(consumer.spec.headers)})
    request = _request(spec, consumer, source, renderers)
    if isinstance(request, Unsendable):
        return request
    headers = list(request.headers)
    sent_to = request.url or url
    if isinstance(spec.auth, ApiKeyAuth) and spec.auth.in_ == "query":
        sent_to = with_parameter(sent_to, spec.auth.name, MASK)
    elif spec.auth is not None:
        headers.append(f"{spec.auth.sets_header}: {MASK}")
    return request._replace(headers=headers, url=sent_to)


def _request(
    spec: ConsumerSpec, consumer: RegisteredConsumer, source: Source, renderers: OnceRenderers
) -> Request | Unsendable:
    requests = RequestBuilder(spec, consumer.retiring_secrets)
    batches = BatchBuilder(spec, consumer.retiring_secrets) if spec.batch else None
    attempt = attempts_charged(source.properties.headers, source.queue) + 1

    def made(renderer: Renderer, done: Made) -> None:
        if batches is None:
            make(requests, renderer, source, attempt, done)
        else:
            make_content(requests, renderer, source, attempt, lambda content: done(batches.of_one(source, content)))

    return renderers.run(made)
