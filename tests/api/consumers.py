"""A consumer to test with."""

from __future__ import annotations

from typing import Any

from tests.api.service import Service

URL = "https://erp.example/process-order"
CONSUMER = {"queueName": "orders", "url": URL}


def create_consumer(service: Service, **fields: Any) -> dict[str, Any]:
    """A new consumer, as shown."""
    answer = service.post("/createConsumer", CONSUMER | fields)
    assert answer.status_code == 201, answer.get_json()
    consumer: dict[str, Any] = answer.get_json()["consumer"]
    return consumer
