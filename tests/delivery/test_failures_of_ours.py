"""Failures of the service: each costs its message no attempt, the consumer rests and says why, and no other message
pays. A message that waits for its payload or a token is sent only while its consumer may send it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from threading import Event
from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.periods import Periods
from delivery.request import Request, RequestHeaders
from delivery.tokens import TokenPeriods
from domain.payload import PayloadTemplate
from gateway.consuming.attempt_log import AttemptObserver
from gateway.consuming.counters import Counters
from gateway.http.target import Target as HttpTarget
from gateway.rendering.renderer import RenderLimits
from tests.delivery.running import AT_ONCE, ONE_SECOND, Consumers
from tests.support.amqp import publish, ready, wait_ready
from tests.support.processes import wait_until
from tests.support.rendering import no_descriptors, renderers, stopped_renderer
from tests.support.target import Target
from tests.support.token_server import TokenServer, reply

pytestmark = pytest.mark.broker_independent

TEMPLATE = PayloadTemplate(template="{{ text }}", content_type="text/plain")


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


class Waiting:
    """Makes the requests of a consumer wait: for their payload, or for a token."""

    def __init__(self, kind: str, tokens: TokenServer) -> None:
        self._kind, self._tokens = kind, tokens
        self.fields: dict[str, Any] = {"payload": TEMPLATE} if kind == "payload" else {"auth": tokens.auth}
        if kind == "token":
            tokens.life = 0  # a token for each request

    @contextmanager
    def __call__(self) -> Iterator[None]:
        if self._kind == "payload":
            with stopped_renderer():
                yield
            return
        go_on = Event()

        def later(http: BaseHTTPRequestHandler) -> None:
            go_on.wait(30)
            reply(http, 200, {"access_token": "x", "token_type": "Bearer", "expires_in": 0})

        self._tokens.answer = later
        try:
            yield
        finally:
            self._tokens.answer = None
            go_on.set()


@pytest.fixture(params=["payload", "token"])
def waiting(request: pytest.FixtureRequest, tokens: TokenServer) -> Waiting:
    return Waiting(request.param, tokens)


def in_flight(consumers: Consumers, key: str, count: int) -> None:
    wait_until(lambda: (one := consumers.report(key)) and one.in_flight == count, 20, f"{count} in flight")


def delivered(consumers: Consumers, key: str, count: int) -> None:
    wait_until(lambda: (one := consumers.report(key)) and one.delivered == count, 20, f"{count} delivered")


@pytest.mark.parametrize("ordering", ["none", "queue"])
def test_a_message_that_waits_when_its_consumer_is_paused_is_not_sent(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, waiting: Waiting, ordering: str
) -> None:
    consumers.deliver(queue, target.url(), ordering=ordering, **waiting.fields)
    publish(channel, queue, "first")
    delivered(consumers, queue, 1)
    with waiting():
        publish(channel, queue, "second")
        in_flight(consumers, queue, 1)
        consumers.remove(queue)
        wait_until(lambda: (one := consumers.report(queue)) and one.state == "draining")
    wait_ready(channel, queue, 1)
    wait_until(lambda: consumers.report(queue) is None)
    assert target.count == 1


def test_a_message_that_waits_when_its_consumer_is_suspended_is_not_sent(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, waiting: Waiting
) -> None:
    consumers.deliver(queue, target.url("/hold"), **waiting.fields)
    publish(channel, queue, "first")
    target.wait_for(1)
    with waiting():
        publish(channel, queue, "second")
        in_flight(consumers, queue, 2)
        target.release(410)
        consumers.wait(queue, "suspended")
    wait_ready(channel, queue, 2)
    assert target.count == 1


@pytest.mark.parametrize("ordering", ["none", "queue"])
def test_a_message_that_waits_when_its_breaker_opens_is_sent_after_it_closes_and_is_not_charged(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, waiting: Waiting, ordering: str
) -> None:
    policy, other = {"failures": 1, "openSeconds": 2}, f"{queue}-other"
    channel.queue_declare(other, durable=True)
    consumers.deliver(queue, target.url(), ordering=ordering, breaker=policy, retry=AT_ONCE, **waiting.fields)
    consumers.deliver(other, target.url("/status/500?times=1"), breaker=policy)
    publish(channel, queue, "first")
    delivered(consumers, queue, 1)
    with waiting():
        publish(channel, queue, "second")
        in_flight(consumers, queue, 1)
        publish(channel, other, "opens the breaker")
        consumers.wait(queue, "breaker-open")
    delivered(consumers, queue, 2)
    failure = next(one for one in target.requests if one.url.startswith("/status"))
    second = next(one for one in target.requests if one.body == b"second")
    assert second.when - failure.when >= 2
    assert second.headers["x-delivery-attempt"] == "1"


def test_a_message_that_waits_when_its_consumer_is_changed_is_sent_by_the_new_definition(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, waiting: Waiting
) -> None:
    consumers.deliver(queue, target.url("/old"), **waiting.fields)
    publish(channel, queue, "first")
    delivered(consumers, queue, 1)
    with waiting():
        publish(channel, queue, "second")
        in_flight(consumers, queue, 1)
        consumers.deliver(queue, target.url("/new"))
    delivered(consumers, queue, 2)
    assert [one.url for one in target.requests] == ["/old", "/new"]


@pytest.mark.versions
def test_a_message_that_waits_when_its_channel_closes_is_sent_once(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, waiting: Waiting, unique_name: str
) -> None:
    consumers.deliver(queue, target.url(), **waiting.fields)
    publish(channel, queue, "first")
    delivered(consumers, queue, 1)
    with waiting():
        publish(channel, queue, "second", message_id="second")
        in_flight(consumers, queue, 1)
        channel.queue_delete(queue)
        in_flight(consumers, queue, 0)
    channel.queue_declare(queue, durable=True)
    publish(channel, queue, "third")
    delivered(consumers, queue, 2)
    assert [one.body for one in target.requests] == [b"first", b"third"]


def test_a_renderer_that_cannot_be_started_costs_no_message(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers.deliver(queue, target.url(), payload=TEMPLATE, retry=AT_ONCE)
    publish(channel, queue, "first")
    delivered(consumers, queue, 1)
    [renderer] = renderers()
    with no_descriptors():
        os.kill(renderer, signal.SIGKILL)
        publish(channel, queue, *map(str, range(20)))
        assert "renderer does not start" in str(consumers.wait(queue, "resting").reason)
    delivered(consumers, queue, 21)
    assert {one.headers["x-delivery-attempt"] for one in target.requests} == {"1"}
    assert set(target.delivered().values()) == {1}


def test_a_renderer_that_does_not_answer_makes_its_consumer_rest_and_no_message_pays(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers = make_consumers(limits=RenderLimits(silence=3.0, ends=1))
    consumers.deliver(queue, target.url(), payload=TEMPLATE, retry=AT_ONCE)
    publish(channel, queue, "first")
    delivered(consumers, queue, 1)
    with stopped_renderer():
        publish(channel, queue, *"abc")
        reason = wait_until(lambda: (one := consumers.report(queue)) and one.reason)
        assert reason.endswith("Messages that wait for it: 3.")
        assert "renderers were killed" in str(consumers.wait(queue, "resting").reason)
    delivered(consumers, queue, 4)
    assert {one.headers["x-delivery-attempt"] for one in target.requests} == {"1"}


@pytest.mark.parametrize("ordering", ["none", "queue"])
@pytest.mark.parametrize("place", [(RequestHeaders, "lines"), (HttpTarget, "send")], ids=["build", "send"])
def test_a_request_that_the_service_cannot_make_is_not_charged_and_the_consumer_rests(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, monkeypatch: pytest.MonkeyPatch,
    place: tuple[type, str], ordering: str,
) -> None:  # fmt: skip
    tries: list[float] = []

    def fails(*_arguments: Any) -> Any:
        tries.append(time.monotonic())
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr(*place, fails)
        publish(channel, queue, "message")
        consumers.run(queue, target.url(), retry=AT_ONCE, ordering=ordering)
        reason = consumers.wait(queue, "resting").reason
        assert reason == "The service failed with RuntimeError; its log has the details."
        wait_until(lambda: len(tries) >= 3)
    delivered(consumers, queue, 1)
    assert all(later - earlier >= 0.4 for earlier, later in pairwise(tries)), "it rested in between"
    assert target.requests[0].headers["x-delivery-attempt"] == "1"
    assert ready(channel, f"{queue}.dlq") == 0


@pytest.mark.parametrize("place", [(Counters, "answered"), (Counters, "decided"), (AttemptObserver, "decided")])
@pytest.mark.parametrize("status", [200, 422])
def test_an_observer_that_raises_changes_no_fate(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, monkeypatch: pytest.MonkeyPatch,
    place: tuple[type, str], status: int,
) -> None:  # fmt: skip
    def fails(*_arguments: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(*place, fails)
    target.answer = status
    consumers.run(queue, target.url())
    publish(channel, queue, "message")
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered + one.dead_lettered == 1)
    assert target.count == 1


@pytest.mark.versions
def test_a_settlement_that_raises_gives_the_message_back(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_arguments: Any) -> None:
        raise RuntimeError("a fault of ours")

    target.answer = 500
    with monkeypatch.context() as patch:
        patch.setattr("gateway.consuming.settlement.retry_delay", fails)
        publish(channel, queue, "message")
        consumers.run(queue, target.url(), retry=ONE_SECOND)
        assert "RuntimeError" in str(consumers.wait(queue, "resting").reason)
        target.answer = 200
    delivered(consumers, queue, 1)


@pytest.mark.parametrize("ordering", ["none", "queue"])
def test_a_second_answer_to_an_attempt_is_ignored(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, monkeypatch: pytest.MonkeyPatch,
    ordering: str,
) -> None:  # fmt: skip
    send = HttpTarget.send

    def twice(one: HttpTarget, headers: list[str], body: bytes, done: Any, *rest: Any) -> None:
        send(one, headers, body, lambda answer: (done(answer), done(answer)), *rest)

    monkeypatch.setattr(HttpTarget, "send", twice)
    publish(channel, queue, "message", message_id="m-1")
    consumers.deliver(queue, target.url("/status/500?times=1"), retry=ONE_SECOND, ordering=ordering)
    delivered(consumers, queue, 1)
    publish(channel, queue, "another")
    delivered(consumers, queue, 2)
    assert target.ids()["m-1"] == 2


def test_one_request_that_cannot_be_sent_with_its_token_does_not_keep_the_others_waiting(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, tokens: TokenServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    send, bad = HttpTarget.send_request, [b"3"]

    def fails(one: HttpTarget, request: Request, done: Any) -> None:
        if request.body in bad:
            raise RuntimeError("a fault of ours")
        send(one, request, done)

    monkeypatch.setattr(HttpTarget, "send_request", fails)
    tokens.delay = 0.5
    publish(channel, queue, *map(str, range(10)))
    consumers.deliver(queue, target.url(), auth=tokens.auth, retry=AT_ONCE)
    target.wait_for(9)
    bad.clear()
    delivered(consumers, queue, 10)
    assert {one.headers["x-delivery-attempt"] for one in target.requests} == {"1"}


def test_a_token_request_that_cannot_be_made_costs_no_message(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, tokens: TokenServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fails(*_arguments: Any) -> Any:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr("gateway.http.oauth2.TokenRequest.build", fails)
        publish(channel, queue, *"abc")
        consumers.run(queue, target.url(), auth=tokens.auth, retry=AT_ONCE)
        assert "No token" in str(consumers.wait(queue, "resting").reason)
    delivered(consumers, queue, 3)
    assert {one.headers["x-delivery-attempt"] for one in target.requests} == {"1"}


def test_a_second_rest_is_as_long_as_it_should_be(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target, tokens: TokenServer
) -> None:
    asked: list[float] = []

    def busy(http: BaseHTTPRequestHandler) -> None:
        asked.append(time.monotonic())
        reply(http, 429 if len(asked) < 3 else 503, b"", {"Retry-After": "2"})

    tokens.answer = busy
    publish(channel, queue, "message")
    consumers.run(queue, target.url(), auth=tokens.auth)
    wait_until(lambda: len(asked) == 1)
    consumers.wait(queue, "resting")
    consumers.run(queue, target.url("/ok?changed"), auth=tokens.auth)  # a change ends the rest
    wait_until(lambda: len(asked) == 3)
    assert asked[1] - asked[0] < 2
    assert asked[2] - asked[1] >= 2


def test_a_token_without_a_life_is_replaced_after_each_default_life(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target, tokens: TokenServer
) -> None:
    consumers = make_consumers(periods=Periods(tokens=TokenPeriods(life=0.4)))
    tokens.life = None
    consumers.deliver(queue, target.url(), auth=tokens.auth)
    for number in range(1, 200):
        publish(channel, queue, str(number))
        delivered(consumers, queue, number)
        if len(tokens.issued) >= 4:
            break
    assert len(tokens.issued) >= 4
