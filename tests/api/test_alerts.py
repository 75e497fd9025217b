"""Every alert of docs/deploy/alerts.yml is provoked in a real Prometheus, and every panel of the Grafana dashboard has
something to show. One scenario: all is well, then more and more goes wrong."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from gateway.metrics.instruments import COUNTED
from services.gauges import GAUGES
from tests.api.host import METRICS_TOKEN, Host
from tests.api.stuck_retries import fill, level
from tests.support.certificates import Authority
from tests.support.node import BrokerNode
from tests.support.processes import wait_until
from tests.support.programs import require
from tests.support.prometheus import Prometheus
from tests.support.store import StoreNode
from tests.support.target import Target

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
RULES = DEPLOY / "alerts.yml"
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
METRIC = re.compile(r"workerrmq_[a-z_]+")
NEVER: dict[str, object] = {"failures": 10_000}
LATER: dict[str, object] = {"schedule": [600]}


@pytest.fixture
def make_prometheus(tmp_path: Path) -> Iterator[Callable[[int], Prometheus]]:
    """Starts a Prometheus over a service; skipped where there is none, unless REQUIRE_PROMETHEUS=1 forbids that."""
    made: list[Prometheus] = []
    require("PROMETHEUS", "prometheus", "promtool")

    def make(port: int) -> Prometheus:
        made.append(Prometheus(tmp_path / "prometheus", RULES, port, METRICS_TOKEN))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.shutdown()


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_every_alert_fires_when_it_should_and_none_before(
    host: Host,
    make_prometheus: Callable[[int], Prometheus],
    broker: BrokerNode,
    store: StoreNode,
    target: Target,
    unique_name: str,
    tmp_path: Path,
) -> None:
    prometheus = make_prometheus(host.web.port)
    seen: set[str] = set()
    token = host.web.login()

    def consume(name: str, path: str, breaker: dict[str, object]) -> None:
        host.post("/createQueue", queueName=name)
        policy = {"breaker": breaker, "retry": LATER, "prefetch": 5}
        host.post("/createConsumer", queueName=name, url=target.url(f"/{path}"), name=name, **policy)

    def ask(path: str, **body: object) -> None:
        requests.request("POST" if body else "GET", host.web.url + path, json=body or None, timeout=10,
                         headers={"Authorization": f"Bearer {token}"})  # fmt: skip

    def publish(*queues: str) -> None:
        for queue in queues:
            ask("/messagePublish", queueName=queue, message="x")

    def wait_for(alerts: set[str], meanwhile: Callable[[], object]) -> None:
        def fire() -> bool:
            meanwhile()
            seen.update(prometheus.firing())
            return alerts <= seen

        wait_until(fire, 40, f"{alerts}")

    well, fails, breaks, gone, dead, full, grows, lonely = (f"{unique_name}.{one}" for one in "abcdefgh")
    host.post("/createQueue", queueName=f"{full}.dlq", maxLength=1, overflow="reject-publish")
    for name, path, breaker in ((well, "status/200", NEVER), (fails, "status/503", NEVER),
                                (breaks, "status/503", {"failures": 1}), (gone, "status/410", NEVER),
                                (dead, "status/422", NEVER), (full, "status/422", NEVER),
                                (grows, "hold", NEVER)):  # fmt: skip
        consume(name, path, breaker)
    host.post("/createQueue", queueName=lonely)
    publish(well)
    wait_until(lambda: prometheus.query("count_over_time(workerrmq_queue_consumers[10s]) > 3"), 40, "three scrapes")
    wait_until(lambda: prometheus.query('workerrmq_consumers{state="running"} == 7'), 40, "seven consumers")
    assert not prometheus.firing()

    troubles = {
        "ConsumerFailing",
        "BreakerOpen",
        "ConsumerSuspended",
        "DeadLettersGrow",
        "QueueWithoutConsumer",
        "PublishesFail",
        "CopiesRefused",
        "RetriesOverdue",
        "QueueGrows",
        "CertificateExpires",
    }
    ca = Authority(tmp_path / "authority").certificate.read_text()
    host.post("/createConsumer", queueName=well, name="secure", url="https://127.0.0.1:9/", tls={"ca": ca})
    host.post("/pauseConsumer", name="secure")
    level(broker, "workerrmq.retry.1s", 1)
    fill(broker, "workerrmq.retry.1s", 3)
    fill(broker, grows, 120)
    wait_for({f"WorkerRMQ{name}" for name in troubles},
             lambda: publish(well, fails, breaks, gone, dead, full, grows, lonely, "nowhere"))  # fmt: skip
    empty = [expression for expression in EXPRESSIONS if not prometheus.query(_plain(expression))]
    assert not empty, "panels without anything to show"
    assert not seen & {"WorkerRMQDown", "WorkerRMQDependencyDown", "WorkerRMQNoWorker", "WorkerRMQApiErrors"}

    host.worker.stop()
    wait_for({"WorkerRMQNoWorker"}, lambda: None)
    store.kill()
    wait_for({"WorkerRMQDependencyDown", "WorkerRMQApiErrors"}, lambda: ask("/getConsumers"))
    host.web.process.stop()
    wait_for({"WorkerRMQDown"}, lambda: None)
    assert seen == set(re.findall(r"alert: (\w+)", RULES.read_text()))


def _plain(expression: str) -> str:
    """As Grafana sends it, with all queues and consumers."""
    return re.sub(r"\$(queue|consumer)", ".*", expression).replace("$__rate_interval", "10s")


def test_promtool_finds_no_fault_in_the_rules(make_prometheus: object) -> None:
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_rules_and_dashboard_name_metrics_that_there_are() -> None:
    names = {one.name for one in GAUGES}
    for instrument in COUNTED:
        [family] = instrument.describe()
        names |= {f"{family.name}_total"} if family.type == "counter" else {f"{family.name}_bucket"}
    named = {name for text in (RULES.read_text(), json.dumps(DASHBOARD)) for name in METRIC.findall(text)}
    assert named <= names
