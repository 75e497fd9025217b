"""How many passwords may be tried: per account, per network, and at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

import pytest

from domain.errors import Throttled, Unauthenticated
from services import passwords
from services.login import MAX_FAILURES, MAX_FAILURES_IN_ALL
from services.turnstile import Turnstile
from tests.api.client import ADMIN, PASSWORD, Api, Gunicorn, add_user
from tests.api.conftest import MakeApp, database_of
from tests.support.store import StoreNode


@pytest.fixture
def behind_proxy(store: StoreNode, make_app: MakeApp, unique_name: str) -> Callable[[str, str, str], int]:
    """The status of a login that a proxy passes on with this X-Forwarded-For."""
    client = Api(make_app(mongo_uri=store.uri(database_of(unique_name)), trusted_proxies=1))
    add_user(client.app, ADMIN, "admin")

    def login(address: str, username: str, password: str) -> int:
        body = {"username": username, "password": password}
        return client("POST", "/login", json=body, headers={"X-Forwarded-For": address}).status_code

    return login


@pytest.mark.parametrize(
    ("addresses", "elsewhere"),
    [
        (lambda n: f"2001:db8:1:2:{n:x}::{n:x}", "2001:db8:1:3::1"),
        (lambda n: f"[2001:db8:1:2::{n:x}]:{4000 + n}", "2001:db8:1:3::1"),
        (lambda n: f"203.0.113.7:{4000 + n}", "203.0.113.8:4000"),
        (lambda n: "203.0.113.7" if n % 2 else f"::ffff:203.0.113.7%{n}", "203.0.113.8"),
        (lambda n: f"hidden-{n}", "203.0.113.8"),
    ],
    ids=["in one /64", "ports of IPv6", "ports of IPv4", "spellings", "no addresses"],
)
def test_a_client_has_ten_tries_however_it_spells_its_address(
    behind_proxy: Callable[[str, str, str], int], addresses: Callable[[int], str], elsewhere: str
) -> None:
    statuses = [behind_proxy(addresses(number), ADMIN, "wrong") for number in range(MAX_FAILURES + 2)]
    assert statuses == [401] * MAX_FAILURES + [429] * 2
    assert behind_proxy(addresses(99), ADMIN, PASSWORD) == 429
    assert behind_proxy(elsewhere, ADMIN, PASSWORD) == 200


def test_an_account_is_throttled_when_many_networks_try_it(behind_proxy: Callable[[str, str, str], int]) -> None:
    networks = MAX_FAILURES_IN_ALL // MAX_FAILURES
    statuses = Counter(behind_proxy(f"203.0.113.{n % networks}", ADMIN, "wrong") for n in range(MAX_FAILURES_IN_ALL))
    assert statuses == {401: MAX_FAILURES_IN_ALL}
    assert behind_proxy("203.0.113.250", ADMIN, PASSWORD) == 429


def test_a_network_is_throttled_when_it_tries_many_accounts(
    behind_proxy: Callable[[str, str, str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_NOBODY", passwords.bcrypt.hashpw(b"x", passwords.bcrypt.gensalt(4)))
    statuses = Counter(behind_proxy(f"2001:db8::{n:x}", f"user-{n}", "wrong") for n in range(MAX_FAILURES_IN_ALL))
    assert statuses == {401: MAX_FAILURES_IN_ALL}
    assert behind_proxy("2001:db8::1", ADMIN, PASSWORD) == 429
    assert behind_proxy("2001:db8:0:1::1", ADMIN, PASSWORD) == 200


def test_right_passwords_use_up_no_try(behind_proxy: Callable[[str, str, str], int]) -> None:
    assert {behind_proxy("203.0.113.7", ADMIN, PASSWORD) for _ in range(MAX_FAILURES_IN_ALL + 1)} == {200}


def test_a_burst_gets_as_many_tries_as_one_after_the_other(api: Api) -> None:
    login = api.app.extensions["services"].login
    login._checks = Turnstile(8, 40, retry_after=1)
    begin = Barrier(40)

    def tried() -> str:
        begin.wait(30)
        try:
            login.login(ADMIN, "wrong", "203.0.113.7")
        except (Unauthenticated, Throttled) as exc:
            return type(exc).__name__
        return "in"

    with ThreadPoolExecutor(40) as clients:
        results = Counter(future.result(60) for future in [clients.submit(tried) for _ in range(40)])
    assert results == {"Unauthenticated": MAX_FAILURES, "Throttled": 40 - MAX_FAILURES}


def test_a_flood_of_logins_is_bounded_and_delays_no_other_request(gunicorn: Callable[..., Gunicorn]) -> None:
    server = gunicorn("--workers", "1")
    token = server.login()
    names = count()

    def flood(_: int) -> tuple[int, str | None]:
        body = {"username": f"nobody-{next(names)}", "password": "wrong"}
        answer = server.call("POST", "/login", json=body)
        return answer.status_code, answer.headers.get("Retry-After")

    with ThreadPoolExecutor(60) as clients:
        answers = [clients.submit(flood, number) for number in range(60)]
        assert server.call("GET", "/getUsers", token).status_code == 200
        assert not all(answer.done() for answer in answers), "it did not wait for them"
        results = Counter(answer.result(60) for answer in answers)
    assert set(results) == {(401, None), (429, "2")}
    assert results[401, None] >= 18, "two at once and sixteen who waited"
    assert server.login()


def test_no_more_than_so_many_enter_or_wait_at_a_turnstile() -> None:
    turnstile = Turnstile(1, 1, retry_after=3)
    inside, release = Barrier(2), Barrier(2)

    def enter() -> None:
        with turnstile.entered():
            inside.wait(30)
            release.wait(30)

    with ThreadPoolExecutor(2) as callers:
        both = [callers.submit(enter) for _ in range(2)]
        for _ in both:
            inside.wait(30)
            assert inside.n_waiting == 0, "the other waits outside"
            release.wait(30)
        for one in both:
            one.result(30)
    with turnstile.entered(), turnstile._present, pytest.raises(Throttled) as refused, turnstile.entered():
        pass
    assert refused.value.retry_after == 3
