"""Policies over HTTP, and the effect on a queue."""

from __future__ import annotations

from typing import Any

import pytest

from domain.policy import OWN_NAMES
from gateway.amqp import topology
from tests.api.service import Service, assert_problem
from tests.support.processes import wait_until

pytestmark = pytest.mark.versions


def test_a_policy_is_created_replaced_listed_and_deleted(service: Service) -> None:
    body = {"name": "short", "pattern": "^orders", "applyTo": "queues", "definition": {"max-length": 1}, "priority": 3}
    assert service.post("/createPolicy", body).status_code == 201
    assert service.post("/createPolicy", body | {"priority": 4}).status_code == 200
    assert service.get("/getPolicies").get_json() == [body | {"priority": 4}]
    assert service.get("/getPolicies", name="other").get_json() == []
    assert service.delete("/deletePolicy", {"name": "short"}).status_code == 200
    assert_problem(service.delete("/deletePolicy", {"name": "short"}), 404, "policy_not_found", "'short'")


def test_a_policy_applies_to_the_queues_that_match(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    service.post("/createPolicy", {"name": "short", "pattern": "^orders$", "definition": {"max-length": 7}})

    def policy() -> Any:
        return service.get("/getQueue", queueName="orders").get_json()["policy"]

    wait_until(lambda: policy() == "short", 15, "the policy")


def test_rabbitmq_names_the_setting_that_it_refuses(service: Service) -> None:
    body = {"name": "short", "pattern": "^orders", "definition": {"max-lenght": 1}}
    assert_problem(service.post("/createPolicy", body), 400, "refused_by_broker", "max-lenght")


@pytest.mark.parametrize("pattern", [".*", "delay", "^workerrmq", r"^(?!workerrmq\.)x|.*", r"(?=workerrmq)", "due$"])
def test_a_policy_cannot_drop_what_the_service_holds(service: Service, pattern: str) -> None:
    body = {"name": "short", "pattern": pattern, "definition": {"expires": 1000}}
    assert_problem(service.post("/createPolicy", body), 400, "invalid_request", "pattern", r"^(?!workerrmq\.)")


@pytest.mark.parametrize("setting", ["dead-letter-exchange", "dead-letter-routing-key", "alternate-exchange"])
def test_a_policy_cannot_lead_to_the_queues_of_the_service(service: Service, setting: str) -> None:
    body = {"name": "lead", "pattern": "^orders", "definition": {setting: "workerrmq.due"}}
    assert_problem(service.post("/createPolicy", body), 400, "invalid_request", setting, "reserved")


def test_a_policy_for_all_other_queues_and_one_about_nodes_are_allowed(service: Service) -> None:
    others = {"name": "others", "pattern": r"^(?!workerrmq\.)", "definition": {"message-ttl": 60000}}
    assert service.post("/createPolicy", others).status_code == 201
    nodes = {"name": "nodes", "pattern": ".*", "definition": {"queue-master-locator": "min-masters"}}
    assert service.post("/createPolicy", nodes).status_code == 201


@pytest.mark.broker_independent
def test_the_names_of_the_service_are_those_of_its_topology() -> None:
    levels = [topology.level_queue(kind, n) for kind in (topology.RETRIES, topology.SCHEDULED) for n in range(29)]
    assert [topology.DUE, topology.OVERDUE, topology.ORPHANS, *levels] == OWN_NAMES


@pytest.mark.broker_independent
def test_viewers_read_policies_and_operators_change_them(service: Service) -> None:
    body = {"name": "short", "pattern": "^orders", "definition": {"max-length": 1}}
    assert service.get("/getPolicies", role="viewer").status_code == 200
    assert service.post("/createPolicy", body, role="publisher").status_code == 403
    assert service.post("/createPolicy", body, role="operator").status_code == 201
    assert service.delete("/deletePolicy", {"name": "short"}, role="publisher").status_code == 403
