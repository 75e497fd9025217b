"""POST /testConsumer: one sample, and what comes back."""

from __future__ import annotations

import base64
import json

import pytest
from standardwebhooks.webhooks import Webhook

from tests.api.service import Service
from tests.support.target import Target

pytestmark = pytest.mark.broker_independent

SECRET = "whsec_" + base64.b64encode(b"a key of twenty-four bytes").decode()


def test_a_sample_arrives_signed_and_the_answer_is_shown(service: Service, target: Target, unique_name: str) -> None:
    service.post("/createConsumer", {"queueName": unique_name, "url": target.url("/echo"), "signingSecret": SECRET})
    answer = service.post("/testConsumer", {"queueName": unique_name, "message": {"order": 7}})
    assert answer.status_code == 200, answer.json
    assert (answer.json["status"], answer.json["outcome"]) == (200, "success")
    assert json.loads(answer.json["body"]) == {"order": 7}
    [request] = target.requests
    Webhook(SECRET).verify(request.body, request.headers, json_parse=False)
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "outcome", "reason"),
    [("/status/503", "retry", "HTTP 503"), ("/status/404", "suspend", "HTTP 404"), ("/reset", "retry", "reset")],
)
def test_a_sample_shows_the_outcome_of_the_answer(
    service: Service, target: Target, unique_name: str, path: str, outcome: str, reason: str
) -> None:
    service.post("/createConsumer", {"queueName": unique_name, "url": target.url(path)})
    answer = service.post("/testConsumer", {"queueName": unique_name}).json
    assert answer["outcome"] == outcome
    assert answer["reason"].startswith(reason)


def test_a_consumer_that_is_not_there_cannot_be_tried(service: Service, unique_name: str) -> None:
    assert service.post("/testConsumer", {"queueName": unique_name}).status_code == 404
    assert service.post("/testConsumer", {"queueName": unique_name}, role="publisher").status_code == 403
