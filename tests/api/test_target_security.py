"""Tokens, keys and certificates of consumers by way of the API: never shown, sealed at rest, watched, and tried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.api.service import Service, assert_problem
from tests.support.certificates import Authority
from tests.support.egress_proxy import EgressProxy
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.token_server import TokenServer

pytestmark = pytest.mark.broker_independent


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def test_a_sample_has_a_token_which_is_not_shown(
    service: Service, target: Target, tokens: TokenServer, unique_name: str
) -> None:
    consumer = {"queueName": unique_name, "url": target.url("/echo"), "auth": tokens.auth}
    made = service.post("/createConsumer", consumer).get_json()["consumer"]
    assert made["auth"]["clientSecret"] == "**********"
    sample = {"queueName": unique_name, "message": "canary-token-0001 " + "x" * 995 + "canary-token-0001"}
    answer = service.post("/testConsumer", sample)
    assert (answer.json["status"], answer.json["outcome"]) == (200, "success")
    assert "**********" in answer.json["body"]
    assert "canary" not in answer.text, "whole, or cut where the answer is"
    assert target.requests[0].headers["authorization"] == "Bearer canary-token-0001"


def test_a_sample_says_why_there_is_no_token(
    service: Service, target: Target, tokens: TokenServer, unique_name: str
) -> None:
    service.post("/createConsumer", {"queueName": unique_name, "url": target.url(), "auth": tokens.auth})
    tokens.answer = 503, b""
    answer = service.post("/testConsumer", {"queueName": unique_name}).json
    assert (answer["status"], answer["error"], answer["outcome"]) == (None, "token", "unsent")
    assert "answered HTTP 503" in answer["reason"]
    tokens.answer, tokens.secret = None, "another"
    refused = service.post("/testConsumer", {"queueName": unique_name})
    assert (refused.json["error"], refused.json["outcome"]) == ("token-refused", "suspend")
    assert "invalid_client" in refused.json["reason"]
    assert "canary" not in refused.text
    assert target.count == 0


@pytest.mark.parametrize(
    ("auth", "header", "query"),
    [
        ({"type": "apiKey", "name": "X-Key", "value": "canary"}, "X-Key", ""),
        ({"type": "apiKey", "in": "query", "name": "a key", "value": "canary"}, "", "?a%20key=**********"),
        ({"type": "hmac", "format": "stripe", "secret": "canary"}, "Stripe-Signature", ""),
        ({"type": "bearer", "token": "canary"}, "Authorization", ""),
    ],
)
def test_a_dry_run_has_the_mask_where_the_credentials_go(
    service: Service, target: Target, unique_name: str, auth: dict[str, str], header: str, query: str
) -> None:
    service.post("/createConsumer", {"queueName": unique_name, "url": target.url("/in"), "auth": auth})
    answer = service.post("/testConsumer", {"queueName": unique_name, "message": "x", "dryRun": True})
    request = answer.json["request"]
    assert request["url"] == target.url("/in") + query
    assert [name for name, value in request["headers"].items() if value == "**********"] == [header] * bool(header)
    assert "canary" not in answer.text
    assert target.count == 0


def test_the_token_url_passes_the_guard_when_a_consumer_is_made(
    service: Service, tokens: TokenServer, unique_name: str
) -> None:
    auth = tokens.auth | {"tokenUrl": "http://169.254.169.254/token"}
    answer = service.post("/createConsumer", {"queueName": unique_name, "url": "http://127.0.0.1:9/", "auth": auth})
    problem = assert_problem(answer, 400, "target_refused", "169.254.169.254 is a link-local address")
    assert problem["errors"][0]["field"] == "auth.tokenUrl"


def test_keys_and_certificates_rest_sealed_and_are_the_same_afterwards(
    service: Service, authority: Authority, tokens: TokenServer, unique_name: str
) -> None:
    certificate, key = authority.sign("client")
    tls = {"certificate": certificate.read_text(), "key": key.read_text()}
    consumer = {"queueName": unique_name, "url": "https://127.0.0.1:9/", "auth": tokens.auth, "tls": tls}
    answer = service.post("/createConsumer", consumer)
    assert answer.status_code == 201, answer.json
    assert answer.json["consumer"]["tls"] == {"ca": None, "certificate": tls["certificate"], "key": "**********"}
    [document] = service.store.consumers._collection().find({"name": unique_name})
    for hidden in ("BEGIN", "canary", key.read_text().splitlines()[1]):
        assert hidden not in str(document)
    spec = service.store.consumers.get(unique_name).spec
    assert spec.tls is not None
    assert spec.stored()["tls"] == tls
    again = service.post("/createConsumer", consumer)
    assert again.status_code == 200
    assert [warning.partition(":")[0] for warning in again.json["warnings"][1:]] == ["auth", "tls"]


def test_a_certificate_that_has_expired_is_refused_though_the_consumer_that_has_one_can_be_changed(
    service: Service, authority: Authority, unique_name: str
) -> None:
    def tls(days: float) -> dict[str, str]:
        certificate, key = authority.sign("client", days=days)
        return {"certificate": certificate.read_text(), "key": key.read_text()}

    consumer: dict[str, Any] = {"queueName": unique_name, "url": "https://127.0.0.1:9/"}
    answer = service.post("/createConsumer", consumer | {"tls": tls(-1)})
    assert_problem(answer, 400, "invalid_request", "tls.certificate: expired on")
    ca = authority.certificate.read_text()
    soon = 2 / 86400
    made = service.post("/createConsumer", consumer | {"tls": tls(soon) | {"ca": ca}})
    assert made.status_code == 201, made.json
    spec = service.store.consumers.get(unique_name).spec
    assert spec.tls is not None
    end = spec.tls.expires_at
    wait_until(lambda: datetime.now(UTC) >= end)
    assert service.patch("/updateConsumer", {"name": unique_name, "prefetch": 3}).status_code == 200
    refused = service.patch("/updateConsumer", {"name": unique_name, "tls": tls(-1)})
    assert_problem(refused, 400, "invalid_request", "tls.certificate: expired on")
    assert service.patch("/updateConsumer", {"name": unique_name, "tls": tls(1)}).status_code == 200


def test_the_end_of_a_certificate_is_a_problem_and_a_gauge(
    service: Service, authority: Authority, unique_name: str
) -> None:
    for name, days in (("soon", 13), ("later", 15)):
        certificate, key = authority.sign(name, days=days)
        tls = {"certificate": certificate.read_text(), "key": key.read_text()}
        consumer = {"queueName": unique_name, "name": name, "url": "https://127.0.0.1:9/", "tls": tls}
        assert service.post("/createConsumer", consumer).status_code == 201
    found = [one for one in service.get("/getOverview").json["troubles"] if one["kind"] == "certificate_expires"]
    assert [(one["name"], one["queueName"]) for one in found] == [("soon", unique_name)]
    assert f"expires on {datetime.now(UTC) + timedelta(days=13):%Y-%m-%d}" in found[0]["reason"]
    metrics = service.get("/metrics").text
    for name in ("soon", "later"):
        assert f'certificate_expiry_timestamp_seconds{{consumer="{name}",queue="{unique_name}"}} 1.' in metrics
    assert service.patch("/updateConsumer", {"name": "soon", "tls": None}).status_code == 200
    gauge = 'certificate_expiry_timestamp_seconds{consumer="soon"'
    wait_until(lambda: gauge not in service.get("/metrics").text, 20, "the gauge being gone")


def test_samples_use_the_egress_proxy_and_report_its_failure(
    make_service: Callable[..., Service], target: Target, unique_name: str
) -> None:
    with EgressProxy(login="me:canary") as proxy:
        service = make_service(egress_proxy=SecretStr(proxy.url))
        made = service.post("/createConsumer", {"queueName": unique_name, "url": f"http://target.test:{target.port}/"})
        assert not any("target.test" in warning for warning in made.json["warnings"]), "the proxy resolves names"
        assert service.post("/testConsumer", {"queueName": unique_name}).json["status"] == 200
        proxy.answer = 403
        answer = service.post("/testConsumer", {"queueName": unique_name})
    assert (answer.json["error"], answer.json["outcome"]) == ("proxy", "unsent")
    assert "canary" not in answer.text
