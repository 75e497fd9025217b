"""EGRESS_PROXY: requests go by the proxy, and its own failures cost no message an attempt."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.target_guard import Guard
from domain.outcome import Answer, ErrorClass
from gateway.http import egress
from gateway.http.egress import Egress
from tests.delivery.client import Client
from tests.delivery.running import AT_ONCE, Consumers
from tests.support.amqp import publish, ready
from tests.support.certificates import Authority
from tests.support.egress_proxy import EgressProxy
from tests.support.processes import free_port
from tests.support.target import Target
from tests.support.token_server import TokenServer

LOGIN = "me:p%40ss"
KINDS: dict[str, dict[str, Any]] = {"http": {}, "login": {"login": "me:p@ss"}, "https": {}, "socks5": {"socks": True},
                                    "socks5-login": {"socks": True, "login": "me:p@ss"}}  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def context(authority: Authority) -> ssl.SSLContext:
    """Of a server whose certificate the authority has signed."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.sign("server"))
    return tls


@pytest.fixture(params=KINDS)
def proxy(request: pytest.FixtureRequest, authority: Authority) -> Iterator[EgressProxy]:
    fields = dict(KINDS[request.param])
    if request.param == "https":
        fields["tls"] = context(authority)
    with EgressProxy(**fields) as one:
        one.url = one.url.replace("me:p@ss", LOGIN)
        yield one


@pytest.fixture
def by(authority: Authority) -> Iterator[Callable[..., Client]]:
    """Makes clients of a proxy."""
    made: list[Client] = []

    def make(url: str, guard: Guard | None = None) -> Client:
        made.append(Client(guard, Egress(egress.EgressProxy.parse(url), str(authority.certificate))))
        return made[-1]

    yield make
    for one in made:
        one.close()


def post(client: Client, url: str, **fields: Any) -> Answer:
    return client.post(url, **{"timeout": 2, "connect_timeout": 1} | fields)


def test_requests_go_by_the_proxy_which_resolves_their_names(
    by: Callable[..., Client], proxy: EgressProxy, target: Target
) -> None:
    client = by(proxy.url, Guard())
    url = f"http://target.test:{target.port}/ok"
    for _ in range(3):
        assert post(client, url, auth={"type": "bearer", "token": "canary-token"}).status == 200
    assert proxy.tunnels == [("target.test", target.port)], "the connection was used again"
    assert not any(b"canary-token" in head for head in proxy.heads)
    assert target.requests[0].headers["authorization"] == "Bearer canary-token"
    assert "proxy-authorization" not in target.requests[0].headers


def test_the_targets_own_failures_stay_the_targets(
    by: Callable[..., Client], proxy: EgressProxy, target: Target, tmp_path: Path
) -> None:
    client = by(proxy.url)
    for status in (302, 407, 502, 503, 504):
        assert post(client, target.url(f"/status/{status}")).status == status
    assert post(client, target.url("/hang"), timeout=0.3).error is ErrorClass.TIMEOUT
    for path in ("/reset", "/close", "/truncated"):
        assert post(client, target.url(path)).error is ErrorClass.RESET
    with EgressProxy(tls=context(Authority(tmp_path / "other"))) as secure:  # anything that speaks TLS
        assert post(client, f"https://127.0.0.1:{secure.port}/").error is ErrorClass.TLS
    assert post(client, f"http://127.0.0.1:{free_port()}/").error is ErrorClass.CONNECT


def test_the_proxys_failures_are_the_proxys(by: Callable[..., Client], proxy: EgressProxy, target: Target) -> None:
    client = by(proxy.url)
    socks = proxy.url.startswith("socks5")
    for answer in (1, 2, 7, 8) if socks else (400, 403, 404, 405, 407, 429, 500, 503):
        proxy.answer = answer
        found = post(client, target.url())
        assert found.error is ErrorClass.PROXY, (answer, found)
        assert "The egress proxy" in found.detail
        assert not any(secret in found.detail for secret in ("p@ss", LOGIN))
    proxy.answer, proxy.hang = None, True
    assert post(client, target.url(), connect_timeout=0.5).error is ErrorClass.PROXY
    proxy.hang = False
    assert post(client, target.url()).status == 200
    proxy.stop()
    assert post(client, target.url()).error is ErrorClass.PROXY
    assert target.count == 1


def test_a_proxy_that_cannot_reach_the_target_says_so(
    by: Callable[..., Client], proxy: EgressProxy, target: Target
) -> None:
    for answer in (3, 4, 5, 6) if proxy.url.startswith("socks5") else (502, 504):
        proxy.answer = answer
        assert post(by(proxy.url), target.url()).error is ErrorClass.CONNECT


@pytest.mark.parametrize("kind", [{"login": "me:other"}, {"login": "me:other", "socks": True}], ids=str)
def test_a_login_that_the_proxy_refuses_is_its_failure(
    by: Callable[..., Client], target: Target, kind: dict[str, Any]
) -> None:
    with EgressProxy(**kind) as proxy:
        answer = post(by(proxy.url.replace("other", "canary-password")), target.url())
    assert answer.error is ErrorClass.PROXY
    assert "canary" not in str(answer)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_proxy_that_cannot_be_reached_or_found_is_its_failure(
    by: Callable[..., Client], target: Target, scheme: str
) -> None:
    for place in (f"127.0.0.1:{free_port()}", "nowhere.invalid:1"):
        answer = post(by(f"{scheme}://me:canary@{place}"), target.url())
        assert answer.error is ErrorClass.PROXY
        assert place in answer.detail
        assert "canary" not in answer.detail


def test_an_https_proxy_whose_certificate_is_wrong_is_not_used(
    by: Callable[..., Client], target: Target, tmp_path: Path
) -> None:
    with EgressProxy(tls=context(Authority(tmp_path / "other"))) as proxy:
        assert post(by(proxy.url), target.url()).error is ErrorClass.PROXY
    assert target.connections_opened == 0


def test_the_guard_sees_the_url_though_not_the_address(by: Callable[..., Client], target: Target) -> None:
    with EgressProxy() as proxy:
        client = by(proxy.url, Guard(deny="denied.test"))
        for url in (
            target.url(),
            "http://denied.test/",
            "http://localhost/",
            "http://169.254.169.254/",
            "http://[::1]/",
        ):
            assert post(client, url).error is ErrorClass.BLOCKED
        assert not proxy.heads
        assert post(client, f"http://target.test:{target.port}/").status == 200


def test_no_proxy_of_the_environment_gets_around_it(
    by: Callable[..., Client], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("NO_PROXY", "*")
    with EgressProxy() as proxy:
        assert post(by(proxy.url), target.url()).status == 200
        assert proxy.tunnels


def test_no_message_pays_while_the_proxy_fails_and_tokens_come_by_it_too(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    with EgressProxy() as proxy, TokenServer() as tokens:
        consumers = make_consumers(egress=Egress(egress.EgressProxy.parse(proxy.url)))
        proxy.answer = 503
        publish(channel, queue, *"123")
        for auth in (None, tokens.auth):
            consumers.run(queue, target.url(), auth=auth, retry=AT_ONCE, breaker={"failures": 1})
            report = consumers.wait(queue, "resting", revision=2 if auth else 1)
            assert f"The egress proxy http://127.0.0.1:{proxy.port} answered HTTP 503" in str(report.reason)
            assert (report.dead_lettered, report.retried) == (0, 0)
        proxy.answer = None
        requests = target.wait_for(3, 30)
        assert {request.headers["x-delivery-attempt"] for request in requests} == {"1"}
        assert {port for _, port in proxy.tunnels} == {tokens.port, target.port}
        assert ready(channel, f"{queue}.dlq") == 0


@pytest.mark.parametrize(
    "text",
    ["proxy:3128", "ftp://proxy:1", "http://", "http://proxy:0", "http://proxy:x", "http://canary@a@proxy:1",
     "http://proxy:1/path", "http://me:can/ary@proxy:1", "http://proxy:1?canary", "http://pröxy:1", "socks4://proxy:1",
     "http://me:canary\r\n@proxy:1"],
)  # fmt: skip
def test_an_invalid_proxy_url_is_refused_with_a_reason_and_without_its_login(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(must|names)") as refused:
        egress.EgressProxy.parse(text)
    assert "canary" not in str(refused.value)
