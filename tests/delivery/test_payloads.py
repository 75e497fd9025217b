"""Requests with a payload other than the raw body, on the wire, with all brokers."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from pika.adapters.blocking_connection import BlockingChannel
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from domain.signing_secret import RetiringSecret, SigningSecret
from tests.delivery.running import AT_ONCE, ONE_SECOND, Consumers
from tests.support.amqp import get, publish, wait_ready
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.broker_independent

OLD, NEW = ("whsec_" + base64.b64encode(letter * 24).decode() for letter in (b"o", b"n"))


def test_an_envelope_is_the_same_at_every_attempt_but_for_its_number(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, unique_name: str
) -> None:
    channel.exchange_declare(unique_name, "topic", auto_delete=True)
    channel.queue_bind(queue, unique_name, "order.#")
    headers = {"x-tenant": "acme", "price": Decimal("1.5"), "at": datetime(2026, 11, 22, tzinfo=UTC), "n": {"a": [1]}}
    consumers.deliver(queue, target.url("/status/503?times=1"), payload="envelope", retry=ONE_SECOND)
    publish(channel, queue, "to the default exchange", message_id="m-1", headers=headers, type="order", priority=3)
    first, second = (json.loads(request.body) for request in target.wait_for(2))
    assert (first.pop("attempt"), second.pop("attempt")) == (1, 2)
    assert first == second
    assert first == {
        "messageId": "m-1",
        "queue": queue,
        "exchange": "",
        "routingKey": queue,
        "properties": {"messageId": "m-1", "type": "order", "priority": 3},
        "headers": {"x-tenant": "acme", "price": "1.5", "at": "2026-11-22T00:00:00Z", "n": {"a": [1]}},
        "bodyEncoding": "text",
        "body": "to the default exchange",
    }
    target.clear()
    channel.basic_publish(unique_name, "order.created", bytes(range(256)))
    got = json.loads(target.wait_for(1)[0].body)
    assert (got["exchange"], got["routingKey"], got["bodyEncoding"]) == (unique_name, "order.created", "base64")
    assert base64.b64decode(got["body"]) == bytes(range(256))


def test_a_cloud_event_arrives_as_one(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish(
        channel, queue, b'{"n": 1}', message_id='"42" \N{SNOWMAN}%', type="shop.order", timestamp=1_700_000_000,
        content_type="application/json", headers={"x-tenant": "acme"},
    )  # fmt: skip
    consumers.deliver(
        queue, target.url(), payload="cloudevents", forward_headers=("x-tenant",), signing_secret=SigningSecret(NEW)
    )
    request = target.wait_for(1)[0]
    event = from_http_event(HTTPMessage(request.headers, request.body))
    assert (event.get_id(), event.get_type(), event.get_source()) == (
        '"42" \N{SNOWMAN}%',
        "shop.order",
        f"/queues/{queue}",
    )
    assert (event.get_subject(), event.get_time()) == (queue, datetime.fromtimestamp(1_700_000_000, UTC))
    assert (event.get_extension("tenant"), event.get_data()) == ("acme", {"n": 1})
    Webhook(NEW).verify(request.body, request.headers, json_parse=False)


def test_only_headers_on_the_list_reach_the_target(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    headers = {"x-tenant": "acme", "x-forged": "a\r\nx-evil: 1", "x-private": "no", "x-n": 7, "x-table": {"a": "b"}}
    publish(channel, queue, "1", headers=headers)
    consumers.deliver(queue, target.url(), forward_headers=("x-tenant", "x-forged", "x-n", "x-table", "x-none"))
    got = target.wait_for(1)[0].headers
    assert (got["x-tenant"], got["x-n"], got["x-forged"]) == ("acme", "7", "a%0D%0Ax-evil: 1")
    assert not {"x-private", "x-evil", "x-table", "x-none"} & set(got)


def test_a_message_completes_the_url_and_one_that_cannot_is_dead_lettered_alone(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    for message_id, tenant in (("1", "a b"), ("2", None), ("3", "../admin"), ("4", "ä")):
        publish(channel, queue, "x", message_id=message_id, headers={"x-tenant": tenant} if tenant else {})
    consumers.deliver(queue, target.url("/in/{header:x-tenant}/orders?id={messageId}"), retry=AT_ONCE)
    requests = target.wait_for(2)
    assert {request.url for request in requests} == {"/in/a%20b/orders?id=1", "/in/%C3%A4/orders?id=4"}
    wait_ready(channel, f"{queue}.dlq", 2)
    dead = {one.properties.message_id: one.headers for one in (get(channel, f"{queue}.dlq") for _ in "12") if one}
    assert dead["2"]["workerrmq-error"] == dead["3"]["workerrmq-error"] == "unsendable"
    assert "{header:x-tenant}, which is missing" in dead["2"]["workerrmq-reason"]
    assert "slash" in dead["3"]["workerrmq-reason"]
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.dead_lettered) == (2, 2))


@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        ({"type": "basic", "username": "me", "password": "grüß: dich"}, "Basic bWU6Z3LDvMOfOiBkaWNo"),
        ({"type": "bearer", "token": "abc.def-1"}, "Bearer abc.def-1"),
    ],
)
def test_credentials_are_sent_with_the_first_request(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, auth: dict[str, str], sent: str
) -> None:
    publish(channel, queue, "1")
    consumers.deliver(queue, target.url(), auth=auth)
    assert target.wait_for(1)[0].headers["authorization"] == sent


def test_while_a_secret_is_replaced_both_verify_and_afterwards_the_new_one_only(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    until = datetime.now(UTC) + timedelta(seconds=1.5)
    retiring = (RetiringSecret(SigningSecret(OLD), until),)
    consumers.deliver(queue, target.url(), signing_secret=SigningSecret(NEW), retiring=retiring)
    publish(channel, queue, "both")
    request = target.wait_for(1)[0]
    for secret in (OLD, NEW):
        Webhook(secret).verify(request.body, request.headers, json_parse=False)
    wait_until(lambda: time.time() > until.timestamp() + 1)
    publish(channel, queue, "the new one")
    request = target.wait_for(2)[1]
    Webhook(NEW).verify(request.body, request.headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(request.body, request.headers, json_parse=False)
