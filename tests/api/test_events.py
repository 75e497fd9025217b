"""The service's events by the API: who may receive them, and the templates that docs/HOWTO.md gives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delivery.conditions import RULES
from delivery.service_events import message
from domain.condition import Event
from tests.api.client import Api
from tests.api.service import Service, assert_problem
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.target import Target

HOWTO = (Path(__file__).parents[2] / "docs" / "HOWTO.md").read_text().partition("## Get notified")[2]
EXAMPLES = [json.loads(one) for one in re.findall(r"^```json\n(.+?)^```$", HOWTO, re.MULTILINE | re.DOTALL)]
SUSPENDED = Event(
    "i.begun", "consumer.suspended", False, "i", 1796000000.25, 1796000000.25, 'the "orders"', "orders", 'It is "so".'
)
BINDING = {"exchange": "workerrmq.events", "queueName": "told", "routingKey": "#"}


@pytest.fixture
def service(service: Service) -> Service:
    """One with a queue."""
    assert service.post("/createQueue", {"queueName": "told"}).status_code == 201
    return service


def test_the_exchange_is_declared_when_an_operator_binds_to_it(service: Service, broker: BrokerNode) -> None:
    broker.management.delete("exchanges", "/", "workerrmq.events")
    assert service.post("/bindQueue", BINDING, role="operator").status_code == 201
    found = service.get("/getExchanges", name="workerrmq.events", includeInternal=True).json
    assert [(one["type"], one["durable"], one["autoDelete"]) for one in found] == [("topic", True, False)]
    assert service.post("/unbindQueue", BINDING, role="operator").status_code == 200


@pytest.mark.broker_independent
def test_neither_publishers_nor_keys_for_certain_queues_receive_events(service: Service) -> None:
    assert_problem(service.post("/bindQueue", BINDING, role="publisher"), 403, "forbidden")
    key = service.post("/createApiKey", {"name": "shop", "role": "operator", "queues": ["*"]}).json["key"]
    scoped = Api(service.app)
    scoped.token = key
    consumer = {"exchange": "workerrmq.events", "routingKey": "#", "url": "http://127.0.0.1:1/"}
    for path, body in (("/bindQueue", BINDING), ("/createConsumer", consumer)):
        assert_problem(scoped("POST", path, json=body), 403, "outside_key_scope")


def test_one_call_makes_a_consumer_that_delivers_the_events_of_a_web_process(
    make_service: Callable[..., Service], target: Target
) -> None:
    """With the periods and minimum durations that the service has."""
    service = make_service(consumers="inline")
    answer = service.post("/createConsumer", EXAMPLES[1] | {"url": target.url("/slack")})
    assert answer.status_code == 201, answer.json
    assert answer.json["consumer"]["queueName"].startswith("events.slack.")
    service.post("/createQueue", {"queueName": "told"})
    service.post("/createConsumer", {"queueName": "told", "url": target.url("/status/410")})
    service.post("/messagePublish", {"queueName": "told", "message": "x"})
    request = wait_until(lambda: next((one for one in target.requests if one.path == "/slack"), None), 60, "the event")
    assert json.loads(request.body) == {"text": "Consumer 'told' is suspended: The target answered HTTP 410."}
    assert request.headers["webhook-id"].endswith(".begun")


@pytest.mark.broker_independent
@pytest.mark.parametrize("example", EXAMPLES[1:], ids=["slack", "pagerduty"])
@pytest.mark.parametrize("ended", [False, True])
def test_the_templates_of_the_documents_render_events(
    service: Service, target: Target, example: dict[str, Any], ended: bool
) -> None:
    created = service.post("/createConsumer", example | {"url": target.url("/ok")})
    assert created.status_code == 201, created.json
    event = message(replace(SUSPENDED, ended=ended))
    sample = {"name": example["name"], "dryRun": True, "message": json.loads(event.body)}
    answer = service.post("/testConsumer", sample)
    assert answer.status_code == 200, answer.json
    body = json.loads(answer.json["request"]["body"])
    if example["name"] == "slack":
        assert body == {"text": 'It is "so".'}
        return
    assert body == {
        "event_action": "resolve" if ended else "trigger",
        "dedup_key": "i",
        "payload": {"summary": 'It is "so".', "source": "/consumers/the%20%22orders%22", "severity": "error"},
    }
    assert "YOUR_INTEGRATION_KEY" not in json.dumps(answer.json) + json.dumps(created.json)


def test_the_documents_show_an_event_as_it_is_published() -> None:
    shown, published = EXAMPLES[0], json.loads(message(SUSPENDED).body)
    assert shown.keys() == published.keys()
    assert shown["data"].keys() == published["data"].keys()


def test_the_documents_list_every_kind_with_its_minimum_durations() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \| (.+?) \| (.+?) \|$", HOWTO, re.MULTILINE)
    assert [row[0] for row in rows] == list(RULES)
    for kind, begins, ends in rows:
        rule = RULES[kind]
        assert f"{rule.begins} s" in begins, kind
        assert f"{rule.ends} s" in ends or f"{rule.ends // 60} minutes" in ends, kind
