"""Sends one sample request to a consumer's target, built like those of a worker, without a queue."""

from __future__ import annotations

import time
from typing import cast

from delivery.copies import Source
from delivery.request import RequestBuilder
from delivery.target_guard import Guard
from delivery.template import Unsendable
from domain.message import Message, PropertiesView
from domain.outcome import Answer, ErrorClass
from domain.registry import RegisteredConsumer
from gateway.http.client import HttpClient
from gateway.http.egress import DIRECT, Egress
from gateway.loop import Loop


def send_sample(
    consumer: RegisteredConsumer, message: Message, guard: Guard, longest: float = 10.0, egress: Egress = DIRECT
) -> Answer:
    """Return the target's answer. Blocks for about `longest` seconds at most. Thread-safe."""
    spec = consumer.spec.model_copy(update={"timeout": min(consumer.spec.timeout, longest)})
    properties = cast("PropertiesView", message.properties)
    source = Source(spec.queue_name, "", spec.queue_name, properties, message.body, properties.message_id or "sample")
    answers: list[Answer] = []
    loop = Loop()
    client = HttpClient(loop, guard, egress=egress)

    def done(answer: Answer) -> None:
        if not answers:
            answers.append(answer)
            client.close()
            loop.finish()

    def start() -> None:
        try:
            headers, body, url = RequestBuilder(spec, consumer.retiring_secrets).build(source, 1, time.time())
        except Unsendable as exc:
            done(Answer(None, ErrorClass.UNSENDABLE, str(exc), 0.0))
        else:
            client.target(spec).send(headers, body, done, url)

    late = Answer(None, ErrorClass.TIMEOUT, f"no answer within {longest:g} s, the token included", longest)
    loop.call_later(0, start)
    loop.call_later(longest * 1.1, lambda: done(late))  # a token, a request and another token take longer together
    loop.run()
    return answers[0]
