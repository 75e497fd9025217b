"""The parts of targets' answers that the attempt log and the dead letters of a consumer keep."""

from __future__ import annotations

from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.delivery.raw_server import answering
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


HEAD = (
    b"""HTTP/1.1 100 Continue
Server: interim

HTTP/1.1 422 Unprocessable
Content-Length: 2
Content-Type: application/json
X-Request-ID: 9f3c\x01%b
Set-Cookie: session=canary
X-Secret: canary
Location: https://user:canary@bank.example/in?token=canary
WWW-Authenticate: Negotiate canarycanarycanarycanary==
Server: consumer-secret

{}""".replace(b"\n", b"\r\n")
    % (b"x" * 300)
)
"""The answer of a target that repeats what it should not."""

FULL = {
    "content-type": "application/json",
    "x-request-id": f"9f3c{'x' * 196}",
    "location": "https://**********@bank.example/in?token=**********",
    "www-authenticate": "Negotiate **********",
    "server": "**********",
}


@pytest.mark.parametrize(
    ("bodies", "kept"),
    [
        ("full", FULL),
        ("redacted", {name: FULL[name] for name in ("content-type", "x-request-id", "server")}),
        ("none", None),
    ],
)
def test_attempt_log_and_dead_letter_keep_chosen_headers_of_the_answer_without_secrets(
    consumers: Consumers, channel: BlockingChannel, queue: str, bodies: str, kept: dict[str, str] | None
) -> None:
    with answering(HEAD) as place:
        headers = {"x-api-key": "consumer-secret"}
        consumers.deliver(queue, f"http://{place}/", headers=headers, attempt_log={"bodies": bodies})
        publish(channel, queue, "1", message_id="refused")
        [letter] = take(channel, f"{queue}.dlq", 1)
    [attempt] = consumers.thread.take_attempts()
    assert attempt.answer_headers == kept
    assert attempt.destination == f"{queue}.dlq"
    assert letter.headers.get("workerrmq-answer-headers") == kept
    assert "canary" not in str(letter.headers)


def test_the_attempt_log_has_the_success_of_a_message_that_was_given_back(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    """A throttled message has no mark of its failure: only the broker says that it was delivered before."""
    consumers.deliver(queue, target.url("/retry-after?seconds=1&status=429&times=1"))
    publish(channel, queue, "1", message_id="given-back")
    target.wait_for(2)
    wait_until(lambda: consumers.report(queue).delivered == 1, 20, "the success")
    assert [one.result for one in consumers.thread.take_attempts()] == ["requeued", "delivered"]
