"""Batches on real brokers: their size, their formats, and the fate of each message when a batch fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage
from pika.adapters.blocking_connection import BlockingChannel
from standardwebhooks.webhooks import Webhook

from domain.filter_pattern import FilterPattern
from domain.payload import PayloadTemplate
from domain.signing_secret import SigningSecret
from gateway.consuming.copier import Copier
from gateway.consuming.session import Delivery
from tests.delivery.running import AT_ONCE, ONE_SECOND, Consumers
from tests.support.amqp import get, publish, ready, wait_ready
from tests.support.batch_target import BatchTarget, Received
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.broker_independent


@pytest.fixture
def target() -> Iterator[BatchTarget]:
    with BatchTarget() as one:
        yield one


def batch(messages: int = 10, **fields: Any) -> dict[str, Any]:
    return {"batch": {"maxMessages": messages, "maxWaitMs": 200, **fields}}


def publish_numbers(channel: BlockingChannel, queue: str, count: int, **properties: Any) -> list[str]:
    """Publish messages with the ids 0, 1, 2 …, which their bodies have as well."""
    for number in range(count):
        publish(channel, queue, json.dumps({"id": str(number)}), message_id=str(number), **properties)
    return [str(number) for number in range(count)]


def dead_letters(channel: BlockingChannel, queue: str) -> dict[str, str]:
    """Return the reason of each dead letter by its id."""
    found = {}
    while message := get(channel, f"{queue}.dlq"):
        found[message.properties.message_id] = message.headers["workerrmq-reason"]
    return found


def rejects(*poison: str) -> Any:
    """Return an answer: 422 to a batch with any of these, else 200."""
    return lambda request: (422 if set(poison) & set(request.ids) else 200, {})


@pytest.mark.versions
def test_full_batches_are_sent_at_once_and_the_rest_after_its_wait(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    ids = publish_numbers(channel, queue, 25)
    consumers.deliver(queue, target.url, **batch(10))
    target.wait_delivered(set(ids))
    assert sorted(one.ids for one in target.requests) == sorted([ids[:10], ids[10:20], ids[20:]])
    wait_until(lambda: consumers.report(queue).delivered == 25, 20, "25 delivered")
    assert (ready(channel, queue), consumers.report(queue).in_flight) == (0, 0)


def test_a_body_never_exceeds_the_limit_unless_its_only_message_does(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    for number, size in enumerate((300, 300, 300, 2000, 100, 100)):
        publish(channel, queue, json.dumps({"id": str(number), "fill": "x" * size}), message_id=str(number))
    consumers.deliver(queue, target.url, **batch(10, maxBytes=1000), payload="envelope")
    target.wait_delivered(set("012345"))
    assert all(len(one.body) <= 1000 or len(one.elements) == 1 for one in target.requests)
    assert set(target.delivered.values()) == {1}


@pytest.mark.parametrize("form", ["json", "ndjson", "cloudevents"])
def test_each_format_has_the_payloads_and_one_signature(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget, form: str
) -> None:
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    publish(channel, queue, '{\r\n "id": "a"\n}', message_id="a", content_type="application/json", type="order")
    publish(channel, queue, '{"id": "b"}', message_id="b")
    consumers.deliver(queue, target.url, **batch(2, format=form), signing_secret=SigningSecret(secret))
    target.wait_delivered({"a", "b"})
    request = target.requests[0]
    Webhook(secret).verify(request.body, request.headers, json_parse=False)
    assert request.headers["webhook-id"].startswith("batch_")
    if form == "cloudevents":
        assert request.headers["content-type"] == "application/cloudevents-batch+json"
        assert [(one["id"], one["specversion"], one["type"]) for one in request.elements] == [
            ("a", "1.0", "order"),
            ("b", "1.0", "workerrmq.message"),
        ]
        assert [one["data"] for one in request.elements] == [{"id": "a"}, {"id": "b"}]
        assert HTTPMessage(request.headers, request.body)
    else:
        assert request.headers["content-type"] == ("application/json" if form == "json" else "application/x-ndjson")
        assert request.elements == [{"id": "a"}, {"id": "b"}]


@pytest.mark.versions
def test_a_rejected_batch_is_halved_until_the_poison_is_alone(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    target.answer = rejects("3", "17")
    ids = publish_numbers(channel, queue, 20)
    consumers.deliver(queue, target.url, **batch(20))
    wait_ready(channel, f"{queue}.dlq", 2)
    target.wait_delivered(set(ids) - {"3", "17"})
    assert dead_letters(channel, queue) == {"3": "HTTP 422", "17": "HTTP 422"}
    assert set(target.delivered.values()) == {1}


def test_a_message_is_exhausted_only_alone(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    """A target that answers 500 to a batch with a poisoned message must not take the others to the dead letters."""
    target.answer = lambda request: (500 if "3" in request.ids else 200, {})
    ids = publish_numbers(channel, queue, 10)
    consumers.deliver(queue, target.url, **batch(10), retry=ONE_SECOND)
    wait_ready(channel, f"{queue}.dlq", 1, timeout=30)
    target.wait_delivered(set(ids) - {"3"})
    assert dead_letters(channel, queue) == {"3": "HTTP 500"}


def test_the_answer_names_the_messages_that_failed(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    def answer(request: Received) -> tuple[int, Any]:
        items = [{"itemIdentifier": "2"}, {"itemIdentifier": "4", "outcome": "reject"}, {"itemIdentifier": "5"}]
        return 200, {"batchItemFailures": items[:2] if len(request.ids) > 2 else []}

    target.answer = answer
    ids = publish_numbers(channel, queue, 10)
    consumers.deliver(queue, target.url, **batch(10, answers="each"), payload="envelope", retry=ONE_SECOND)
    target.wait_delivered(set(ids) - {"4"})
    wait_ready(channel, f"{queue}.dlq", 1)
    assert dead_letters(channel, queue) == {"4": "HTTP 200: named in batchItemFailures"}
    assert target.requests[1].ids == ["2"]
    assert target.requests[1].elements[0]["attempt"] == 2


def test_a_failure_of_ours_with_one_message_does_not_touch_the_others(
    consumers: Consumers,
    channel: BlockingChannel,
    queue: str,
    target: BatchTarget,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its dead-letter copy cannot be made at first."""
    failing, dead_letter = ["3"], Copier.dead_letter

    def fail_once(copier: Copier, delivery: Delivery, *rest: Any) -> None:
        if failing and delivery.source.message_id == failing[0]:
            raise RuntimeError(failing.pop())
        dead_letter(copier, delivery, *rest)

    monkeypatch.setattr(Copier, "dead_letter", fail_once)
    item = {"itemIdentifier": "3", "outcome": "reject"}
    target.answer = lambda request: (200, {"batchItemFailures": [item] if "3" in request.ids else []})
    ids = publish_numbers(channel, queue, 10)
    consumers.deliver(queue, target.url, **batch(10, answers="each"))
    wait_ready(channel, f"{queue}.dlq", 1)
    wait_until(lambda: consumers.report(queue).in_flight == 0, 20, "no message in flight")
    assert target.delivered == dict.fromkeys(set(ids) - {"3"}, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"no JSON",
        {"batchItemFailures": [{"itemIdentifier": "unknown" * 100_000}]},
        {"batchItemFailures": [{"itemIdentifier": "0", "outcome": []}]},
    ],
)
def test_an_answer_that_cannot_be_read_is_a_retry_of_all(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget, body: Any
) -> None:
    target.answer = lambda _: (200, body if len(target.requests) == 0 else {})
    ids = publish_numbers(channel, queue, 3)
    consumers.deliver(queue, target.url, **batch(3, answers="each"), retry=ONE_SECOND)
    wait_until(lambda: consumers.report(queue).delivered == 3, 20, "3 delivered")
    report = consumers.report(queue)
    assert (target.requests[0].ids, report.retried, report.requeued) == (ids, 3, 0)
    assert len(report.error) < 500


def test_a_message_that_cannot_be_in_a_batch_does_not_stop_the_others(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    publish(channel, queue, "no JSON", message_id="text")
    publish(channel, queue, '{"id": "small"}', message_id="small")
    publish(channel, queue, '{"id": "large", "total": 100}', message_id="large")
    consumers.deliver(
        queue,
        target.url,
        **batch(3),
        filter=FilterPattern({"$not": {"body": {"total": {"$lt": 1}}}}),
        otherwise="discard",
        payload=PayloadTemplate(template='{"id": "{{ messageId }}", "n": {{ body.total|default(0) }}}'),
    )
    target.wait_delivered({"small", "large"})
    wait_ready(channel, f"{queue}.dlq", 1)
    assert [one["n"] for one in target.requests[0].elements] == [0, 100]
    assert "unsendable" in dead_letters(channel, queue)["text"]


def test_an_ordered_batch_stops_at_the_first_message_that_failed(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    failing = ["4"]
    target.answer = lambda request: (
        200,
        {"batchItemFailures": [{"itemIdentifier": failing.pop()}] if failing and "4" in request.ids else []},
    )
    ids = publish_numbers(channel, queue, 10)
    consumers.deliver(
        queue, target.url, **batch(5, answers="each"), payload="envelope", ordering="queue", retry=ONE_SECOND
    )
    target.wait_delivered(set(ids))
    assert [one.ids for one in target.requests[:3]] == [ids[:5], ids[4:9], ids[9:]]


@pytest.mark.versions
def test_an_ordered_batch_keeps_each_key_in_order_while_others_go_on(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    """Every third request fails as a whole, and the message 7 is rejected."""
    order: dict[str, list[str]] = {"a": [], "b": []}

    def answer(request: Received) -> tuple[int, Any]:
        if len(target.requests) % 3 == 1:
            return 500, {}
        if "7" in request.ids:
            return 422, {}
        for one in request.elements:
            order[one["headers"]["x-key"]].append(one["messageId"])
        return 200, {}

    target.answer = answer
    for number in range(20):
        key = {"x-key": "ab"[number % 2]}
        publish(channel, queue, json.dumps({"id": number}), message_id=str(number), headers=key)
    schedule = {"schedule": (1,) * 8, "jitter": 0}
    consumers.deliver(queue, target.url, **batch(6), payload="envelope", ordering={"header": "x-key"}, retry=schedule)
    target.wait_delivered({str(number) for number in range(20)} - {"7"}, 40)
    wait_ready(channel, f"{queue}.dlq", 1)
    assert order["a"] == [str(number) for number in range(0, 20, 2)]
    assert order["b"] == [str(number) for number in range(1, 20, 2) if number != 7]


def test_a_rate_limit_and_a_breaker_count_requests(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    target.answer = lambda _: (500, {})
    publish_numbers(channel, queue, 30)
    breaker, rate = {"failures": 2, "openSeconds": 1}, {"perSecond": 5, "burst": 1}
    consumers.run(queue, target.url, **batch(10), retry={"schedule": (60,)}, breaker=breaker, rate_limit=rate)
    consumers.wait(queue, "breaker-open")
    assert len(target.requests) == 2
    target.answer = lambda _: (200, {})
    target.wait_delivered({str(number) for number in range(30)} - set(target.requests[0].ids))
    assert target.sizes()[2] == 1  # the probe


def test_a_batch_may_need_hundreds_of_requests(consumers: Consumers, channel: BlockingChannel, queue: str) -> None:
    """The envelopes of empty messages are much larger than the messages, so the batch exceeds `maxBytes` by far."""
    for number in range(500):
        publish(channel, queue, b"", message_id=str(number))
    with Target() as quick:
        consumers.deliver(queue, quick.url(), **batch(500, maxBytes=100), payload="envelope")
        wait_until(lambda: consumers.report(queue).delivered == 500, 60, "500 delivered")
        assert (set(quick.delivered().values()), quick.count) == ({1}, 500)
    assert (consumers.report(queue).requeued, consumers.report(queue).retried) == (0, 0)


def test_a_poisoned_message_probes_the_target_alone(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: BatchTarget
) -> None:
    """If all messages of an ordered consumer were sent with it, the target would seem to be down forever."""
    target.answer = lambda request: (500 if "0" in request.ids else 200, {})
    for number in range(6):
        publish(channel, queue, json.dumps({"key": number}), message_id=str(number))
    fields = batch(6) | {"ordering": {"jsonPath": "key"}, "payload": "envelope", "retry": AT_ONCE}
    consumers.run(queue, target.url, **fields, breaker={"failures": 1, "openSeconds": 1})
    target.wait_delivered(set("12345"))
    wait_ready(channel, f"{queue}.dlq", 1)
    assert target.sizes() == [6, 1, 1, 4]
