"""A consumer that could never deliver is refused at its creation or change, with the reason."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from config import SettingsError, load
from tests.api.client import Api
from tests.api.service import assert_problem
from tests.support.store import StoreNode

URL = "https://erp.example/orders"
SECRET = "whsec_" + "A" * 32


@pytest.fixture
def guarded(make_app: Callable[..., Flask], store: StoreNode) -> Api:
    """An app whose targets may be at 10.1.0.0/16 and erp.internal, and public ones but 8.8.8.8."""
    client = Api(
        make_app(mongo_uri=store.uri("guarded"), target_allow="10.1.0.0/16,erp.internal", target_deny="8.8.8.8")
    )
    assert client.login().status_code == 200
    return client


def create(api: Api, **fields: Any) -> Any:
    return api("POST", "/createConsumer", json={"queueName": "orders", "url": URL, **fields})


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "localhost", "[::1]", "10.2.0.1", "169.254.169.254", "8.8.8.8", "user@127.1"]
)
def test_a_closed_target_is_refused_and_nothing_is_stored(guarded: Api, host: str) -> None:
    body = assert_problem(create(guarded, url=f"http://{host}/"), 400, "target_refused", "TARGET_")
    assert body["errors"][0]["field"] == "url"
    assert guarded("GET", "/getConsumers").get_json() == []


def test_a_name_that_leads_to_a_closed_address_is_refused_and_one_that_leads_nowhere_is_not(guarded: Api) -> None:
    here = socket.gethostname()
    addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(here, None)}
    if any(ipaddress.ip_address(address).is_global for address in addresses):
        pytest.skip(f"{here} has a public address")
    assert_problem(create(guarded, url=f"http://{here}/"), 400, "target_refused", here, "TARGET_ALLOW")
    created = create(guarded, url="http://no-such-host.invalid/")
    assert created.status_code == 201
    assert any("no-such-host.invalid does not resolve" in warning for warning in created.get_json()["warnings"])
    changed = guarded("PATCH", "/updateConsumer", json={"queueName": "orders", "url": "http://nor-this.invalid/"})
    assert any("nor-this.invalid" in warning for warning in changed.get_json()["warnings"])


@pytest.mark.parametrize("url", [URL, "http://10.1.2.3/", "http://erp.internal/", "http://8.8.4.4/"])
def test_an_open_target_is_accepted(guarded: Api, url: str) -> None:
    assert create(guarded, url=url).status_code == 201


def test_a_consumer_cannot_be_changed_to_a_closed_target(guarded: Api) -> None:
    create(guarded)
    changed = guarded("PATCH", "/updateConsumer", json={"queueName": "orders", "url": "http://127.0.0.1/"})
    assert_problem(changed, 400, "target_refused", "loopback")
    assert guarded("GET", "/getConsumer", query_string={"queueName": "orders"}).get_json()["url"] == URL


@pytest.mark.parametrize(
    ("field", "fields", "words"),
    [
        ("url", {"url": "https://erp.example/{tenant}"}, "{messageId}"),
        ("url", {"url": "https://{header:x-host}/"}, "not in scheme, host"),
        ("url", {"url": "https://erp.example/grün"}, "percent-encode"),
        ("signingSecret", {"signingSecret": "whsec_c2hvcnQ="}, "24 to 64 bytes"),
        ("signingSecret", {"signingSecret": "secret!"}, "Base64"),
        ("outcomes", {"outcomes": {"retry": ["6xx"]}}, "6xx"),
        ("forwardHeaders.0", {"forwardHeaders": ["authorization"]}, "x-"),
        ("forwardHeaders.0", {"forwardHeaders": ["x-queue-name"]}, "the service sets it"),
        ("auth.basic.username", {"auth": {"type": "basic", "username": "a:b", "password": "c"}}, "pattern"),
        ("auth.bearer.token", {"auth": {"type": "bearer", "token": "a\r\nb"}}, "printable"),
        ("auth", {"auth": {"type": "digest"}}, "basic"),
        ("payload", {"payload": "xml"}, "envelope"),
    ],
)  # fmt: skip
def test_a_field_that_makes_no_sense_is_named_with_a_sentence(
    guarded: Api, field: str, fields: dict[str, Any], words: str
) -> None:
    errors = assert_problem(create(guarded, **fields), 400, "invalid_request")["errors"]
    assert [error["field"] for error in errors] == [field]
    assert words in errors[0]["detail"]


@pytest.mark.parametrize(
    "fields",
    [
        {"auth": {"type": "bearer", "token": "a"}, "headers": {"authorization": "b"}},
        {"auth": {"type": "bearer", "token": "a"}, "url": "https://me:pw@erp.example/"},
        {"headers": {"Authorization": "b"}, "url": "https://me:pw@erp.example/"},
    ],
)
def test_credentials_are_given_once(guarded: Api, fields: dict[str, Any]) -> None:
    answer = create(guarded, **fields)
    assert_problem(answer, 400, "invalid_request")
    assert "credentials are given twice" in answer.get_data(as_text=True)


@pytest.mark.parametrize("name", ["TARGET_ALLOW", "TARGET_DENY"])
def test_a_list_of_targets_that_is_nonsense_ends_the_process_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "10.0.0.0/8, http://erp.internal")
    with pytest.raises(SettingsError, match=f"{name} has 'http://erp.internal'. Allowed: a network"):
        load(_env_file=None)
