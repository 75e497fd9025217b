"""OAuth 2 client credentials: one token for all, fetched before it expires, and no message pays for a missing one."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from delivery.target_guard import Guard
from tests.delivery.running import ONE_SECOND, Consumers
from tests.support.amqp import publish, ready, wait_ready
from tests.support.processes import free_port, wait_until
from tests.support.target import Target
from tests.support.target_http import Request
from tests.support.token_server import TokenServer, reply

pytestmark = pytest.mark.broker_independent


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture
def careful(target: Target, tokens: TokenServer) -> Target:
    """A target that takes only requests with a valid token."""
    target.answer = lambda request: 200 if tokens.accepts(request.headers.get("authorization", "")) else 401
    return target


def delivered(consumers: Consumers, queue: str, count: int) -> None:
    def enough() -> bool:
        report = consumers.report(queue)
        return report is not None and report.delivered >= count

    wait_until(enough, 20, f"{count} delivered; {consumers.report(queue)}")


def test_a_client_shows_its_secret_in_the_header(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.client, tokens.secret = "a:b%20", "x:%+ é"
    consumers.deliver(queue, careful.url(), auth=tokens.auth)
    publish(channel, queue, b"body")
    delivered(consumers, queue, 1)
    assert tokens.requests[0].form == {"grant_type": "client_credentials"}


def test_a_client_shows_its_secret_in_the_body_beside_scope_audience_and_what_else_is_asked_for(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.client, tokens.secret = "a:b%20", "x:%+ é"
    more: dict[str, Any] = {"scope": "read write", "audience": "https://api.example", "params": {"resource": "é&=\r\n"}}
    consumers.deliver(queue, careful.url(), auth=tokens.auth | more | {"clientSecretIn": "body"})
    publish(channel, queue, b"body")
    delivered(consumers, queue, 1)
    form = {"grant_type": "client_credentials", "client_id": tokens.client, "client_secret": tokens.secret}
    assert tokens.requests[0].form == form | {"scope": "read write", "audience": more["audience"]} | more["params"]
    assert "authorization" not in tokens.requests[0].headers


KEYS = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_client_signs_a_jwt_with_its_key(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer, kind: str
) -> None:
    key: Any = KEYS[kind]()
    tokens.public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    auth = tokens.auth | {"privateKey": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()}
    del auth["clientSecret"]
    consumers.deliver(queue, careful.url(), auth=auth)
    publish(channel, queue, b"body")
    delivered(consumers, queue, 1)
    assert "authorization" not in tokens.requests[0].headers


def test_one_token_is_fetched_however_many_messages_wait_for_it(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.delay = 0.5
    publish(channel, queue, *map(str, range(200)))
    consumers.deliver(queue, careful.url(), auth=tokens.auth, prefetch=100)
    delivered(consumers, queue, 200)
    assert (len(tokens.requests), careful.count) == (1, 200)


def test_tokens_are_refreshed_before_they_expire_and_no_message_sees_one_that_has(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.life = 3  # a refresh has a quarter of it
    consumers.deliver(queue, careful.url(), auth=tokens.auth)
    for number in range(1, 400):
        publish(channel, queue, str(number))
        delivered(consumers, queue, number)
        if len(tokens.issued) >= 4:
            break
    assert len(tokens.issued) >= 4, "it lived through three refreshes"
    assert careful.count == number, "none was refused"


def test_a_failed_refresh_keeps_the_current_token(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.life = 16  # two refreshes are refused after 12 and 13 s, and it must still be valid then
    consumers.deliver(queue, careful.url(), auth=tokens.auth)
    publish(channel, queue, b"first")
    delivered(consumers, queue, 1)
    tokens.answer = 401, {"error": "invalid_client"}
    count = 1
    while len(tokens.requests) < 3:  # the first was refused, and another was tried before the token's end
        count += 1
        publish(channel, queue, b"more")
        delivered(consumers, queue, count)
    tokens.answer = None
    wait_until(lambda: not tokens.accepts(tokens.issued[0]))
    publish(channel, queue, b"last")
    delivered(consumers, queue, count + 1)
    assert consumers.wait(queue, "running").retried == 0


def test_a_token_without_a_life_is_used(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.life = None
    consumers.deliver(queue, careful.url(), auth=tokens.auth)
    publish(channel, queue, *"123")
    delivered(consumers, queue, 3)
    assert len(tokens.requests) == 1


def test_a_token_that_the_target_refuses_is_replaced_and_the_message_is_not_charged(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    consumers.deliver(queue, careful.url(), auth=tokens.auth, prefetch=50, retry=ONE_SECOND)
    publish(channel, queue, b"first")
    delivered(consumers, queue, 1)
    for turn in range(2, 5):
        tokens.revoke()
        before = len(tokens.requests)
        publish(channel, queue, *map(str, range(50)))
        delivered(consumers, queue, 1 + 50 * (turn - 1))
        assert len(tokens.requests) == before + 1, "one for all of them"
    assert {request.headers["x-delivery-attempt"] for request in careful.requests} == {"1"}
    report = consumers.wait(queue, "running")
    assert (report.retried, report.requeued) == (0, 0)


def test_a_target_that_refuses_new_tokens_too_gets_no_more_of_them(
    make_consumers: Callable[..., Consumers],
    channel: BlockingChannel,
    queue: str,
    target: Target,
    tokens: TokenServer,
) -> None:
    consumers = make_consumers(periods=Periods(longest_rest=0.5))
    target.answer = 401
    publish(channel, queue, *map(str, range(20)))
    consumers.run(queue, target.url(), auth=tokens.auth, prefetch=1)
    report = consumers.wait(queue, "suspended", timeout=60)
    assert report.reason == "The target answered HTTP 401."
    assert len(tokens.requests) == 2
    wait_ready(channel, queue, 20)


def test_a_message_that_alone_is_refused_costs_at_most_one_token_an_attempt(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, tokens: TokenServer
) -> None:
    target.answer = lambda request: 401 if request.body == b"bad" else 200
    consumers.deliver(queue, target.url(), auth=tokens.auth, retry=ONE_SECOND)
    publish(channel, queue, b"good", b"bad", b"good")
    wait_until(lambda: (one := consumers.report(queue)) and (one.delivered, one.dead_lettered) == (2, 1), 20)
    assert len(tokens.requests) <= 3
    assert sum(request.body == b"bad" for request in target.requests) <= 4


Raw = Callable[[BaseHTTPRequestHandler], None]


def endless(http: BaseHTTPRequestHandler) -> None:
    http.send_response(200)
    http.end_headers()
    try:
        while True:
            http.wfile.write(b'{"access_token": "' + b"x" * 65536)
    except OSError:
        http.close_connection = True


def hang_up(http: BaseHTTPRequestHandler) -> None:
    http.close_connection = True


def with_headers(status: int, **headers: str) -> Raw:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda http: reply(http, status, b"", named)


FAILURES: dict[str, tuple[Any, str]] = {
    "500": ((500, b"oops"), "HTTP 500"),
    "503": ((503, {"error": "temporarily_unavailable"}), "temporarily_unavailable"),
    "408": ((408, b""), "HTTP 408"),
    "429": ((429, b""), "HTTP 429"),
    "hang-up": (hang_up, "reset"),
    "endless": (endless, "not a JSON object"),
    "html": ((200, b"<html>login</html>"), "not a JSON object"),
    "list": ((200, []), "not a JSON object"),
    "deep": ((200, b"[" * 60_000), "not a JSON object"),
    "binary": ((200, bytes(range(256))), "not a JSON object"),
    "no-token": ((200, {"token_type": "Bearer"}), "no access_token"),
    "null": ((200, {"access_token": None}), "no access_token"),
    "crlf": ((200, {"access_token": "x\r\nX-Evil: 1", "token_type": "Bearer"}), "printable ASCII"),
    "nul": ((200, {"access_token": "x\0y"}), "printable ASCII"),
    "not-ascii": ((200, {"access_token": "tökén"}), "printable ASCII"),
    "huge": ((200, {"access_token": "x" * 20_000}), "more than 16384"),
    "mac": ((200, {"access_token": "x", "token_type": "mac"}), "not Bearer"),
    "302": (with_headers(302, Location="http://127.0.0.1:1/"), "redirects are not followed"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_no_message_pays_for_a_token_endpoint_that_fails(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer, name: str
) -> None:
    tokens.answer, reason = FAILURES[name]
    publish(channel, queue, *"123")
    consumers.run(queue, careful.url(), auth=tokens.auth, retry={"schedule": (), "jitter": 0})
    report = consumers.wait(queue, "resting")
    assert str(report.reason).startswith("No token: ")
    assert reason in str(report.reason)
    assert careful.connections_opened == 0
    tokens.answer = None
    delivered(consumers, queue, 3)
    assert (report.dead_lettered, report.retried) == (0, 0)
    assert ready(channel, f"{queue}.dlq") == 0
    assert {request.headers["x-delivery-attempt"] for request in careful.requests} == {"1"}
    assert not any("x-evil" in request.headers for request in careful.requests)


@pytest.mark.parametrize(
    "life", ["3600", "soon", -1, 0, 1e308, True, [], "NaN", "Infinity", 10**400], ids=lambda life: str(life)[:8]
)
def test_nonsense_for_a_life_is_survived(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer, life: Any
) -> None:
    tokens.extra = {"expires_in": life}
    consumers.deliver(queue, careful.url(), auth=tokens.auth)
    publish(channel, queue, *"123")
    delivered(consumers, queue, 3)


def test_a_token_endpoint_that_is_down_or_slow_is_waited_for(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    publish(channel, queue, *"123")
    consumers.run(queue, careful.url(), auth=tokens.auth | {"tokenUrl": f"http://127.0.0.1:{free_port()}/token"})
    assert "connect:" in str(consumers.wait(queue, "resting").reason)
    tokens.delay = 5
    consumers.run(queue, careful.url(), auth=tokens.auth, timeout=0.5)
    assert "timeout:" in str(consumers.wait(queue, "resting", revision=2).reason)
    tokens.delay = 0
    delivered(consumers, queue, 3)


def test_it_is_asked_no_earlier_than_it_says(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.answer = with_headers(429, Retry_After="3")
    publish(channel, queue, b"body")
    consumers.run(queue, careful.url(), auth=tokens.auth)
    consumers.wait(queue, "resting")
    tokens.answer = None
    delivered(consumers, queue, 1)
    assert len(tokens.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_an_endpoint_that_refuses_the_client_suspends_the_consumer_with_its_reason(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer, status: int
) -> None:
    publish(channel, queue, *"123")
    secret = tokens.secret
    login = base64.b64encode(f"client:{secret}".encode()).decode()
    said = {"error": "invalid_client", "error_description": f"no client {secret}\r\n{login} eyJhbGciOi.eyJpc3MiOi.c2ln"}
    tokens.answer = status, said
    consumers.run(queue, careful.url(), auth=tokens.auth)
    report = consumers.wait(queue, "suspended")
    assert f"HTTP {status}, invalid_client: no client **********" in str(report.reason)
    for hidden in (secret, "eyJ", "\n", "\r", login):
        assert hidden not in str(report)
    wait_ready(channel, queue, 3)
    assert (report.dead_lettered, report.retried, careful.connections_opened) == (0, 0, 0)


def test_it_suspends_also_while_others_succeed(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.life = 0
    consumers.deliver(queue, careful.url("/status/200"), auth=tokens.auth)
    publish(channel, queue, *"123")
    delivered(consumers, queue, 3)
    tokens.secret = "another"
    publish(channel, queue, b"4")
    report = consumers.wait(queue, "suspended")
    assert (report.dead_lettered, report.retried) == (0, 0)
    wait_ready(channel, queue, 1)


def test_the_guard_holds_for_the_token_endpoint(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    consumers = make_consumers(guard=Guard(allow="::1", deny="127.0.0.1"))
    publish(channel, queue, b"body")
    consumers.run(queue, "http://[::1]:9/", auth=tokens.auth)
    report = consumers.wait(queue, "resting")
    assert "TARGET_DENY" in str(report.reason)
    assert not tokens.requests


def test_order_is_kept_while_there_is_no_token(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.answer = 503, b""
    publish(channel, queue, *map(str, range(20)))
    consumers.run(queue, careful.url(), auth=tokens.auth, ordering="queue")
    consumers.wait(queue, "resting")
    tokens.answer = None
    delivered(consumers, queue, 10)
    tokens.revoke()
    delivered(consumers, queue, 20)
    accepted: list[Request] = list({request.id: request for request in careful.requests}.values())
    assert [int(request.body) for request in accepted] == list(range(20))


def test_a_token_is_not_in_the_reply(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, tokens: TokenServer
) -> None:
    channel.queue_declare(f"{queue}-replies")
    consumers.deliver(queue, target.url("/echo"), auth=tokens.auth, reply=True)
    publish(channel, queue, b"you sent canary-token-0001 and canary-tok", reply_to=f"{queue}-replies")
    wait_ready(channel, f"{queue}-replies", 1)
    _, _, body = channel.basic_get(f"{queue}-replies", auto_ack=True)
    assert body == b"you sent ********** and **********"


def test_a_resumed_consumer_asks_a_token_endpoint_again_that_asked_for_a_long_wait(
    consumers: Consumers, channel: BlockingChannel, queue: str, careful: Target, tokens: TokenServer
) -> None:
    tokens.answer = lambda http: reply(http, 503, {}, {"Retry-After": "86400"})
    publish(channel, queue, b"body")
    consumers.run(queue, careful.url(), auth=tokens.auth)
    report = consumers.wait(queue, "resting")
    assert re.search(r"HTTP 503.*; next attempt at 20\S+Z\.$", report.reason or ""), report.reason
    tokens.answer = None
    consumers.run(queue, careful.url(), auth=tokens.auth)
    delivered(consumers, queue, 1)
