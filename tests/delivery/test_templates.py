"""Payloads by template on real brokers: what a target gets, and what a message or template that fails leads to."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Callable

import pytest
from pika.adapters.blocking_connection import BlockingChannel
from standardwebhooks.webhooks import Webhook

from delivery.periods import Periods
from domain.payload import PayloadTemplate
from domain.signing_secret import SigningSecret
from tests.delivery.oracle import wait_delivered
from tests.delivery.running import AT_ONCE, ONE_SECOND, Consumers
from tests.support.amqp import get, publish, wait_ready
from tests.support.rendering import renderers
from tests.support.target import Target

pytestmark = pytest.mark.broker_independent

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
ORDER = '{"id": 7, "customer": {"name": "Zoë \\"Z\\""}, "items": [{"sku": "A", "qty": 2}, {"sku": "B", "qty": 1}]}'
TEMPLATE = """{
  "text": {{ ("Order " ~ body.id ~ " of " ~ body.customer.name)|tojson }},
  "skus": [{% for item in body.items %}{{ item.sku|tojson }}{% if not loop.last %},{% endif %}{% endfor %}],
  "tenant": {{ headers["x-tenant"]|tojson }},
  "attempt": {{ attempt }}, "key": {{ routingKey|tojson }}, "type": {{ properties.type|tojson }}
}"""


def template(text: str = TEMPLATE, content_type: str = "application/json") -> PayloadTemplate:
    return PayloadTemplate(template=text, content_type=content_type)


def test_each_attempt_sends_the_rendered_template_with_a_new_signature(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(
        channel, queue, ORDER, message_id="m-1", headers={"x-tenant": "acme"}, type="order", content_type="text/x",
        content_encoding="utf-8",
    )  # fmt: skip
    consumers.deliver(
        queue, target.url("/status/503?times=1"), payload=template(), retry=ONE_SECOND,
        signing_secret=SigningSecret(SECRET),
    )  # fmt: skip
    requests = target.wait_for(2)
    for request in requests:
        assert request.headers["content-type"] == "application/json"
        assert "content-encoding" not in request.headers
        Webhook(SECRET).verify(request.body, request.headers, json_parse=False)
    first, second = (json.loads(request.body) for request in requests)
    assert (first.pop("attempt"), second.pop("attempt")) == (1, 2)
    assert first == second == {
        "text": 'Order 7 of Zoë "Z"', "skus": ["A", "B"], "tenant": "acme", "key": queue, "type": "order",
    }  # fmt: skip


@pytest.mark.versions
def test_a_message_that_the_template_cannot_take_is_dead_lettered_intact_and_alone(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(channel, queue, '{"no": "id"}', message_id="missing", headers={"x-tenant": "acme"})
    publish(channel, queue, "no json", message_id="text")
    publish(channel, queue, '{"id": 1}', message_id="fine")
    consumers.deliver(queue, target.url("/{messageId}"), payload=template("id={{ body.id }}", "text/plain"))
    [request] = target.wait_for(1)
    assert (request.url, request.body, request.headers["content-type"]) == ("/fine", b"id=1", "text/plain")
    wait_ready(channel, f"{queue}.dlq", 2)
    dead = {one.properties.message_id: one for one in (get(channel, f"{queue}.dlq") for _ in "12") if one}
    assert dead["missing"].body == b'{"no": "id"}'
    assert dead["missing"].headers["x-tenant"] == "acme"
    assert dead["missing"].headers["workerrmq-error"] == dead["text"].headers["workerrmq-error"] == "unsendable"
    assert "line 1: `body.id` is undefined" in dead["missing"].headers["workerrmq-reason"]
    assert "`body` is undefined" in dead["text"].headers["workerrmq-reason"]


DOUBLED = "{% set a, b = [1], [1] %}" + "{% set a, b = [a, a], [b, b] %}" * 60
FATAL = {"endless text": DOUBLED + "{{ a }}", "endless comparison": DOUBLED + "{{ a == b }}"}


@pytest.mark.parametrize("text", FATAL.values(), ids=FATAL)
def test_a_template_that_ends_the_renderer_costs_only_its_own_messages(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, unique_name: str, text: str
) -> None:
    other = f"{unique_name}.other"
    channel.queue_declare(other, durable=True)
    for number in range(20):
        publish(channel, other, f'{{"id": {number}}}', message_id=str(number))
    for number in range(2):
        publish(channel, queue, '{"bad": true}', message_id=f"bad-{number}")
    consumers.deliver(queue, target.url("/bad"), payload=template(text), retry=AT_ONCE)
    consumers.deliver(other, target.url(), payload=template('{"n": {{ body.id }}}'))
    wait_ready(channel, f"{queue}.dlq", 2, timeout=30)
    wait_delivered(target, map(str, range(20)))
    dead = get(channel, f"{queue}.dlq")
    assert dead is not None
    assert dead.headers["workerrmq-error"] == "unsendable"
    assert "processor time" in dead.headers["workerrmq-reason"]
    assert all(request.url != "/bad" for request in target.requests)


def test_a_renderer_that_others_kill_costs_no_message(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url(), payload=template('{"n": {{ body.id }}}'))
    for round_ in range(3):
        for number in range(100):
            publish(channel, queue, f'{{"id": {number}}}', message_id=f"{round_}-{number}")
        target.wait_for(100 * round_ + 1, 20)
        os.kill(renderers()[0], signal.SIGKILL)
    wait_delivered(target, (f"{round_}-{number}" for round_ in range(3) for number in range(100)))
    report = consumers.report(queue)
    assert report is not None
    assert (report.dead_lettered, report.error) == (0, None)


def test_the_renderer_ends_with_its_service(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url(), payload=template("{{ text }}"))
    publish(channel, queue, "x")
    target.wait_for(1)
    assert len(renderers()) == 1
    consumers.end()
    assert not renderers()


def test_a_template_that_is_none_suspends_the_consumer_and_costs_no_message(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers = make_consumers(periods=Periods(longest_rest=0.5))
    publish(channel, queue, "1", "2")
    consumers.run(queue, target.url(), payload=template("a\n{% if %}"))
    report = consumers.wait(queue, "suspended", timeout=60)
    assert "line 2" in (report.reason or "")
    wait_ready(channel, queue, 2)
    assert not target.requests
