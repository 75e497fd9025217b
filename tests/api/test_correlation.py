"""A message from the request that publishes it to its target: the same ids on the way, and in its lines of the log."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.host import Host
from tests.support.processes import wait_until
from tests.support.target import Target

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT = {"X-Correlation-ID": "cart 17", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "shop=1"}
IDS = {"correlation_id": "cart 17", "trace_id": TRACE}


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_the_ids_of_a_request_reach_target_and_log_and_debug_logs_every_delivery(
    host: Host, target: Target, unique_name: str
) -> None:
    good, bad = f"{unique_name}.good", f"{unique_name}.bad"
    for queue, path in ((good, "/"), (bad, "/status/422")):
        host.post("/createQueue", queueName=queue)
        host.post("/createConsumer", queueName=queue, url=target.url(path))
    host.post("/messagePublish", headers=SENT, queueName=bad, message="x")
    [failed] = wait_until(lambda: host.lines(host.worker, "delivery_failed"), 20)
    assert IDS.items() <= failed.items()
    assert {"queue": bad, "attempt": 1, "status": 422, "result": "rejected"}.items() <= failed.items()
    [request] = [one for one in host.lines(host.web.process, "request") if one["path"] == "/messagePublish"]
    assert IDS.items() <= request.items()
    assert request["message_id"] == failed["message_id"]

    host.flask("log-level", "debug")

    def said() -> list[dict[str, Any]]:
        host.post("/messagePublish", headers=SENT, queueName=good, message="x")
        return host.lines(host.worker, "delivered")

    delivered, *_ = wait_until(said, 20, "a line for each delivery")
    assert IDS.items() <= delivered.items()
    for received in target.wait_for(2, 20):
        assert received.headers["x-correlation-id"] == SENT["X-Correlation-ID"]
        assert received.headers["traceparent"] == SENT["traceparent"]
        assert received.headers["tracestate"] == SENT["tracestate"]


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_the_level_changes_at_once_for_all_processes_of_a_host_and_back(host: Host) -> None:
    def logged(marker: str) -> bool:
        """Whether a request that is logged from debug on is, by either web worker."""
        for number in range(4):
            host.web.call("GET", "/health/live", headers={"X-Request-ID": f"{marker}-{number}"})
        host.web.call("GET", "/nowhere", headers={"X-Request-ID": f"{marker}-end"})
        wait_until(lambda: f'"{marker}-end"' in host.web.process.output())
        seen = [f'"{marker}-{number}"' in host.web.process.output() for number in range(4)]
        assert len(set(seen)) == 1, "both workers alike"
        return seen[0]

    assert not logged("before")
    host.flask("log-level", "debug")
    assert logged("while")
    host.flask("log-level", "default")
    assert not logged("after")
