"""Hostile properties and headers of a publisher forge no header of the service, and stop no consumer."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from runtime import logs
from tests.delivery.raw import Raw, raw_values
from tests.delivery.running import ONE_SECOND, Consumers
from tests.support.amqp import publish, take
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.versions

FORGING = "x\r\nX-Queue-Name: payroll\r\nwebhook-id: forged"
HOSTILE: dict[str, dict[str, Any]] = {
    "line ends": dict.fromkeys(("content_type", "content_encoding", "message_id", "correlation_id"), FORGING),
    "not ASCII": dict.fromkeys(("content_type", "message_id", "correlation_id"), "заказ☃\x00"),
    "not UTF-8": dict.fromkeys(("content_type", "message_id", "correlation_id", "type"), b"\xff\xfe\r\n"),
    "a charset and no UTF-8": {"content_type": b"\xff", "content_encoding": "utf-8"},
    "levels of a delay": {"headers": {f"workerrmq-delay-{level}": True for level in range(29)}},
    "a reply to a queue of ours": {"reply_to": "workerrmq.delay.28"},
    "traceparent with line ends": {"headers": {"traceparent": FORGING, "tracestate": FORGING}},
    "traceparent of another type": {"headers": {"traceparent": 17, "tracestate": [b"\xff"]}},
    "header name that is not UTF-8": {"headers": {b"\xff\xfe": b"\xff", "": ""}},
    "headers in our name": {"headers": {"workerrmq-attempts": 1, "workerrmq-set-aside": "x", "workerrmq-exchange": 7,
                                        "workerrmq-routing-key": "k" * 3000, "workerrmq-first-failed-at": None}},
    "attempts beyond counting": {"headers": {"workerrmq-attempts": 2**63 - 1}},
    "attempts that are text": {"headers": {"workerrmq-attempts": "many"}},
    "x-death that is none": {"headers": {"x-death": "x", "x-delivery-count": "y"}},
    "time beyond the calendar": {"headers": {"when": Raw(b"T" + struct.pack(">Q", 2**62))}},
}  # fmt: skip


def publish_all(channel: BlockingChannel, queue: str) -> None:
    with raw_values():
        for name, properties in HOSTILE.items():
            publish(channel, queue, name, **properties)
    publish(channel, queue, "well-meant")


def test_hostile_properties_stay_where_they_are_and_all_messages_are_delivered(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    publish_all(channel, queue)
    consumers.deliver(queue, target.url(), prefetch=1)
    requests = target.wait_for(len(HOSTILE) + 1)
    assert [request.body.decode() for request in requests] == [*HOSTILE, "well-meant"]
    for request in requests:
        assert request.headers["x-queue-name"] == queue
        assert request.headers["webhook-id"] != "forged"
        assert request.head.count(b"\r\nwebhook-id:") == 1


def test_hostile_properties_go_the_whole_way_to_the_dead_letter_queue(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    logs.configure("warning", "json")  # what cannot be logged must not stop a delivery either
    publish_all(channel, queue)
    consumers.deliver(queue, target.url("/status/500"), retry=ONE_SECOND)
    with raw_values():
        letters = take(channel, f"{queue}.dlq", len(HOSTILE) + 1)
    assert sorted(letter.body.decode() for letter in letters) == sorted([*HOSTILE, "well-meant"])
    assert {letter.headers["workerrmq-reason"] for letter in letters} == {Raw(b"S\x00\x00\x00\x08HTTP 500")}
    wait_until(lambda: (report := consumers.report(queue)) and report.in_flight == 0)


def nested(depth: int) -> Raw:
    """An array in an array in an array."""
    value = b"V"
    for _ in range(depth):
        value = b"A" + struct.pack(">I", len(value)) + value
    return Raw(value)


def test_headers_nested_deeper_than_a_stack_cost_no_connection_and_come_out_as_they_went_in(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    deep = nested(5000)
    target.answer = lambda request: 422 if b"m-1" in request.body else 200
    with raw_values():
        publish(channel, queue, b"deep", headers={"x-deep": deep}, message_id="m-1")
    publish(channel, queue, b"shallow")
    consumers.deliver(queue, target.url(), ordering={"header": "x-deep"}, payload="envelope")
    with raw_values():
        (letter,) = take(channel, f"{queue}.dlq", 1)
    assert letter.headers["x-deep"] == deep
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.dead_lettered) == (1, 1))
