"""The target guard where it counts: before a socket is made, and before each request on one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from delivery.refusals import SUSPEND_AFTER
from delivery.target_guard import Guard
from domain.outcome import ErrorClass
from domain.url_template import UrlTemplate
from tests.delivery.client import Client
from tests.delivery.running import Consumers
from tests.support.amqp import publish, wait_ready
from tests.support.processes import free_port
from tests.support.target import Target

MakeClient = Callable[[Guard], Client]


@pytest.fixture
def client() -> Iterator[MakeClient]:
    """Makes clients with a guard; they end with the test."""
    made: list[Client] = []

    def make(guard: Guard) -> Client:
        made.append(Client(guard))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]", "localhost",
                                  "api.localhost", "127.0.0.1."])  # fmt: skip
def test_no_packet_goes_to_a_closed_address_however_it_is_spelled(
    client: MakeClient, target: Target, host: str
) -> None:
    answer = client(Guard()).post(f"http://{host}:{target.port}/ok")
    assert (answer.status, answer.error) == (None, ErrorClass.BLOCKED)
    assert "TARGET_ALLOW" in answer.detail
    assert target.connections_opened == 0


def test_the_guard_checks_the_address_to_which_a_name_resolves_at_the_connection(
    client: MakeClient, target: Target
) -> None:
    guard = Guard("localhost", "127.0.0.0/8, ::1")
    url = UrlTemplate(target.url().replace("127.0.0.1", "localhost"))
    assert guard.check_target(url.target) is None, "the name alone looks innocent"
    answer = Client(guard).post(url)
    assert answer.error is ErrorClass.BLOCKED
    assert "TARGET_DENY" in answer.detail
    assert target.connections_opened == 0


def test_an_allowed_name_may_be_at_a_closed_address_and_its_connection_serves_only_that_name(
    client: MakeClient, target: Target
) -> None:
    one = client(Guard("localhost"))
    assert one.post(target.url().replace("127.0.0.1", "localhost")).status == 200
    assert one.post(target.url()).error is ErrorClass.BLOCKED
    assert (target.count, target.connections_opened) == (1, 1)


def test_a_refused_connection_to_an_allowed_address_is_not_the_guards_doing(client: MakeClient) -> None:
    one = client(Guard("127.0.0.0/8"))
    assert one.post(f"http://127.0.0.1:{free_port()}/").error is ErrorClass.CONNECT


def test_a_redirect_to_a_closed_address_is_not_followed(client: MakeClient, target: Target) -> None:
    with Target() as inside:
        assert client(Guard("127.0.0.0/8")).post(target.url(f"/redirect?to={inside.url()}")).status == 302
        assert inside.connections_opened == 0


def test_a_proxy_of_the_environment_is_not_asked(
    client: MakeClient, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Target() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.base)
        monkeypatch.delenv("no_proxy", raising=False)
        assert client(Guard("127.0.0.0/8")).post(target.url()).status == 200
        assert proxy.connections_opened == 0


def test_a_consumer_whose_target_is_closed_is_suspended_and_loses_no_message(
    make_consumers: Callable[..., Consumers], channel: BlockingChannel, queue: str, target: Target
) -> None:
    consumers = make_consumers(guard=Guard())
    publish(channel, queue, *map(str, range(SUSPEND_AFTER)))
    consumers.run(queue, target.url())
    report = consumers.wait(queue, "suspended", timeout=60)
    assert "127.0.0.1 is a loopback address" in str(report.reason)
    wait_ready(channel, queue, SUSPEND_AFTER)
    assert (report.dead_lettered, report.retried, target.connections_opened) == (0, 0, 0)
