"""Somebody who can write to the database, but has no key: credentials stay with their consumer and their target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.database import Database

from domain.auth import BearerAuth
from domain.consumer import ConsumerSpec
from gateway.mongo import Store, open_store
from tests.support.store import StoreNode

NEW, OLD = "a new key that has 32 bytes or more", "an old key that has 32 bytes or more"
VICTIM = ConsumerSpec(
    queue_name="orders",
    name="victim",
    url="https://erp.example/in?key=canary-1",
    headers={"X-Pin": "canary-2"},
    auth=BearerAuth(type="bearer", token=SecretStr("canary-3")),
)
THIEF = ConsumerSpec(queue_name="orders", name="thief", url="https://thief.example/", headers={"X-Pin": "1"})
SEALED_BEFORE = (
    "gAAAAABrC7ipzYsxQ4DHRS7IP33xW3T2aScJDkiT_BkfO2ZUQET08hRHfcfvGtxz62eantRmMDEojojX_boik--dyrZG7zT1HhRKDLXLntOYTvfhUcWzh4YlDI"
    "-tCVivE9u8yDa8L1ix9NyMe16eK4QCCwmR0WSbKsFLOxaKxo-YQ31xB2r0OG2YNC8xH05yYhRRxjJNZ2vJ"
)
"""The header X-Pin: canary and a signing secret, as the last version with Fernet sealed them under OLD."""


@pytest.fixture
def uri(store: StoreNode) -> str:
    return store.uri("sealed")


@pytest.fixture
def opened(uri: str, tmp_path: Any) -> Iterator[Store]:
    one = open_store(uri, OLD, tmp_path)
    one.consumers.create(VICTIM)
    one.consumers.create(THIEF)
    yield one
    one.close()


@pytest.fixture
def database(uri: str) -> Iterator[Database[dict[str, Any]]]:
    """By way of pymongo, as who has the database's password."""
    with MongoClient[dict[str, Any]](uri) as client:
        yield client.get_default_database()


def rewrite(database: Database[dict[str, Any]], name: str, **fields: Any) -> None:
    document = database.consumers.find_one({"name": name})
    assert document is not None
    database.consumers.replace_one({"name": name}, document | fields)


def document_of(database: Database[dict[str, Any]], name: str) -> dict[str, Any]:
    document = database.consumers.find_one({"name": name})
    assert document is not None
    return document


def assert_suspended(opened: Store, name: str) -> None:
    consumer = opened.consumers.get(name)
    assert consumer.state == "suspended"
    assert consumer.reason == (
        "Its headers, auth, tls and signingSecret cannot be decrypted (the document was changed in the database). Set "
        "them again."
    )
    assert "canary" not in str(consumer.spec.stored()), "it has nothing to send"
    assert name not in {one.spec.name for one in opened.consumers.desired() if one.state == "enabled"}, "workers run it"


def test_secrets_copied_to_another_consumer_stay_shut(opened: Store, database: Database[dict[str, Any]]) -> None:
    rewrite(database, "thief", sealed=document_of(database, "victim")["sealed"])
    assert_suspended(opened, "thief")
    assert [one.spec for one in opened.consumers.desired() if one.state == "enabled"] == [VICTIM]


def test_secrets_copied_with_the_url_stay_shut(opened: Store, database: Database[dict[str, Any]]) -> None:
    victim = document_of(database, "victim")
    rewrite(database, "thief", sealed=victim["sealed"], spec=victim["spec"])
    assert_suspended(opened, "thief")


@pytest.mark.parametrize(
    "url",
    [
        "https://thief.example/in?key=**********",
        "http://erp.example/in?key=**********",
        "https://erp.example:8443/in?key=**********",
        "https://erp.example@thief.example/in?key=**********",
    ],
)
def test_secrets_stay_shut_when_the_url_leads_elsewhere(
    opened: Store, database: Database[dict[str, Any]], url: str
) -> None:
    rewrite(database, "victim", spec=document_of(database, "victim")["spec"] | {"url": url})
    assert_suspended(opened, "victim")


def test_a_suspended_consumer_runs_again_when_its_secrets_are_set_again(
    opened: Store, database: Database[dict[str, Any]]
) -> None:
    rewrite(database, "victim", sealed=document_of(database, "thief")["sealed"])
    assert_suspended(opened, "victim")
    opened.consumers.update(opened.consumers.get("victim").id, VICTIM)
    assert VICTIM in [one.spec for one in opened.consumers.desired() if one.state == "enabled"]


def test_a_change_of_the_url_seals_for_the_new_origin(opened: Store) -> None:
    elsewhere = VICTIM.model_copy(update={"url": "https://crm.example/in?key=canary-4"})
    opened.consumers.update(opened.consumers.get("victim").id, elsewhere)
    assert opened.consumers.get("victim").spec == elsewhere


def test_no_credential_rests_in_the_clear(opened: Store, database: Database[dict[str, Any]]) -> None:
    opened.consumers.create(
        VICTIM.model_copy(update={"name": "user", "url": "https://canary-5@erp.example/", "auth": None})
    )
    documents = list(database.consumers.find())
    assert len(documents) == 3
    assert "canary" not in str(documents)


def test_a_rotation_reseals_what_an_earlier_version_sealed_and_hides_what_it_left_in_the_clear(
    opened: Store, database: Database[dict[str, Any]], make_app: Callable[..., Flask], uri: str, tmp_path: Any
) -> None:
    spec = document_of(database, "victim")["spec"] | {"url": "https://erp.example/in?key=canary-1"}
    rewrite(database, "victim", sealed=SEALED_BEFORE, spec=spec)
    before = opened.consumers.get("victim")
    assert (before.state, before.spec.headers, before.spec.url) == ("enabled", {"X-Pin": "canary"}, VICTIM.url)

    app = make_app(mongo_uri=uri, secret_key=SecretStr(f"{NEW},{OLD}"))
    result = app.test_cli_runner().invoke(args=["rotate-secret-key"])
    assert (result.exit_code, result.output) == (0, "Encrypted with the first key: 2 consumers.\n")

    assert "canary" not in str(document_of(database, "victim"))
    rotated = open_store(uri, NEW, tmp_path)
    assert rotated.consumers.get("victim").spec == before.spec
    rewrite(database, "thief", sealed=document_of(database, "victim")["sealed"])
    assert_suspended(rotated, "thief")
    rewrite(database, "thief", sealed=SEALED_BEFORE)
    assert "encrypted with another SECRET_KEY" in str(rotated.consumers.get("thief").reason), "a copy made before"
    rotated.close()


def test_a_rotation_names_what_was_copied(
    opened: Store, database: Database[dict[str, Any]], make_app: Callable[..., Flask], uri: str
) -> None:
    rewrite(database, "thief", sealed=document_of(database, "victim")["sealed"])
    app = make_app(mongo_uri=uri, secret_key=SecretStr(OLD))
    result = app.test_cli_runner().invoke(args=["rotate-secret-key"])
    assert result.exit_code == 1
    assert "thief (the document was changed in the database). Set them again." in result.output
    assert_suspended(opened, "thief")
