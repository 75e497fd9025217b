"""The parts of targets' answers that the attempt log and the dead letters of a consumer keep."""

from __future__ import annotations

from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.delivery.running import Consumers
from tests.support.amqp import publish, take, wait_ready
from tests.support.processes import wait_until
from tests.support.target import Target

pytestmark = pytest.mark.broker_independent


def test_the_attempt_log_has_the_answers_to_failed_attempts(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url("/status/422"), attempt_log={"successes": "all"})
    publish(channel, queue, "1", message_id="refused")
    wait_ready(channel, f"{queue}.dlq", 1)
    consumers.deliver(queue, target.url(), attempt_log={"successes": "all"})
    for number in range(20):
        publish(channel, queue, "2", message_id=f"ok-{number}")
    wait_until(lambda: consumers.report(queue).delivered == 20, 20, "20 delivered")
    attempts = consumers.thread.take_attempts()
    assert {one.answer for one in attempts if one.message_id == "refused"} == {"status 422"}
    assert [(one.answer, one.sampled) for one in attempts if one.result == "delivered"] == [(None, False)] * 20


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ({}, "IBAN DE1 is unknown"),
        ({"bodies": "redacted", "redact": ("detail",)}, "Unprocessable"),
        ({"bodies": "none"}, None),
    ],
)
def test_a_dead_letter_keeps_no_more_of_an_answer_than_the_attempt_log(
    consumers: Consumers,
    channel: BlockingChannel,
    queue: str,
    target: Target,
    policy: dict[str, Any],
    answer: str | None,
) -> None:
    target.answer = lambda _: (422, b'{"title": "Unprocessable", "detail": "IBAN DE1 is unknown"}')
    consumers.deliver(queue, target.url(), attempt_log=policy)
    publish(channel, queue, "1")
    [letter] = take(channel, f"{queue}.dlq", 1)
    assert letter.headers.get("workerrmq-answer") == answer
