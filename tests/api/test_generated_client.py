"""A client that openapi-python-client makes of /openapi.json does the main job: queue, consumer, message, delivery."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import APIS
from routes.documentation import Description
from tests.api.client import ADMIN, PASSWORD
from tests.api.service import Service
from tests.support.processes import wait_until
from tests.support.target import Target

PACKAGE = "generated_workerrmq_client"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Imports modules of a client that is made of the document as it stands."""
    directory = tmp_path_factory.mktemp("generated")
    (directory / "openapi.json").write_text(json.dumps(Description(APIS).document))
    (directory / "config.yml").write_text("post_hooks: []\n")
    program = Path(sys.executable).with_name("openapi-python-client")
    command = [program, "generate", "--path", "openapi.json", "--config", "config.yml", "--meta", "none"]
    subprocess.run([*command, "--output-path", PACKAGE], cwd=directory, check=True, timeout=90)
    sys.path.insert(0, str(directory))
    yield lambda module: importlib.import_module(f"{PACKAGE}.{module}")
    sys.path.remove(str(directory))


def test_a_generated_client_does_the_main_job(
    generated: Callable[[str], Any], make_service: Callable[..., Service], target: Target, unique_name: str
) -> None:
    models = generated("models")
    options = {
        "base_url": "http://api",
        "raise_on_unexpected_status": True,
        "httpx_args": {"transport": httpx.WSGITransport(app=make_service(consumers="inline").app)},
    }

    def call(module: str, client: Any, **arguments: Any) -> Any:
        answer = generated(f"api.{module}").sync_detailed(client=client, **arguments)
        assert answer.parsed is not None, answer
        assert not isinstance(answer.parsed, models.Problem), answer.parsed
        return answer.parsed

    anybody = generated("client").Client(**options)
    logged_in = call("users.login", anybody, body=models.Credentials(username=ADMIN, password=PASSWORD))
    client = generated("client").AuthenticatedClient(token=logged_in.token, **options)

    assert call("queues.create_queue", client, body=models.QueueSpec(queue_name=unique_name)).queue_name == unique_name
    consumer = call(
        "consumers.create_consumer", client, body=models.NewConsumer(queue_name=unique_name, url=target.url())
    ).consumer
    assert consumer.queue_name == unique_name
    published = call(
        "messages.message_publish", client, body=models.PublishRequest(queue_name=unique_name, message="Hello!")
    )
    assert isinstance(published, models.Published)

    assert [request.body for request in target.wait_for(1, 20)] == [b"Hello!"]
    wait_until(lambda: _delivered(call("consumers.get_consumers", client)) == 1, 20, "the count")
    assert unique_name in [queue.queue_name for queue in call("queues.get_queues", client)]

    refused = generated("api.queues.get_queue").sync(client=client, queue_name="no-such-queue")
    assert (refused.status, refused.code) == (404, "queue_not_found")


def _delivered(consumers: list[Any]) -> int:
    return sum(consumer.delivered for consumer in consumers)
