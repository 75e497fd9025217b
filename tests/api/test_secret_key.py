"""Replacing SECRET_KEY: `SECRET_KEY=new,old`, then `flask rotate-secret-key`, then `new` alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from pydantic import SecretStr

from domain.consumer import ConsumerSpec
from domain.signing_secret import SigningSecret
from gateway.mongo import open_store
from gateway.mongo.consumers import ConsumerRegistry
from gateway.mongo.secrets import KEY_FILE
from tests.support.processes import free_port
from tests.support.store import StoreNode

FIRST, SECOND = (SigningSecret("whsec_" + letter * 32) for letter in "AB")
SIGNED = ConsumerSpec(queue_name="signed", url="https://erp.example/", signing_secret=FIRST)
NEW, OLD = "a new key that has 32 bytes or more", "an old key that has 32 bytes or more"
PLAIN = ConsumerSpec(queue_name="plain", url="https://erp.example/")


@pytest.fixture
def registry(store: StoreNode, tmp_path: Path) -> Callable[[str], ConsumerRegistry]:
    """The consumers as a process with this SECRET_KEY sees them."""
    return lambda key: open_store(store.uri("rotation"), key, tmp_path / "var").consumers


def test_after_a_rotation_the_new_key_alone_opens_everything(
    make_app: Callable[..., Flask], registry: Callable[[str], ConsumerRegistry], store: StoreNode
) -> None:
    signed, _ = registry(OLD).create(SIGNED)
    plain, _ = registry(OLD).create(PLAIN)
    assert [one.id for one in registry(NEW).desired() if one.state == "enabled"] == [plain.id]
    app = make_app(mongo_uri=store.uri("rotation"), secret_key=SecretStr(f"{NEW}, {OLD}"))
    result = app.test_cli_runner().invoke(args=["rotate-secret-key"])
    assert (result.exit_code, result.output) == (0, "Encrypted with the first key: 1 consumers.\n")
    assert [one.spec for one in registry(NEW).desired()] == [plain.spec, signed.spec]
    assert [one.id for one in registry(OLD).desired() if one.state == "enabled"] == [plain.id]


def test_a_rotation_names_what_no_key_opens_and_leaves_it_as_it_is(
    make_app: Callable[..., Flask], registry: Callable[[str], ConsumerRegistry], store: StoreNode
) -> None:
    lost, _ = registry("lost").create(SIGNED)
    kept, _ = registry(OLD).create(SIGNED.model_copy(update={"name": "kept"}))
    app = make_app(mongo_uri=store.uri("rotation"), secret_key=SecretStr(f"{NEW},{OLD}"))
    result = app.test_cli_runner().invoke(args=["rotate-secret-key"])
    assert result.exit_code == 1
    assert "signed (encrypted with another SECRET_KEY). Set them again." in result.output
    assert registry(NEW).get("kept").spec == kept.spec
    assert registry("lost").get("signed") == lost


def test_a_replaced_signing_secret_is_rotated_with_the_others(registry: Callable[[str], ConsumerRegistry]) -> None:
    created, _ = registry(OLD).create(SIGNED)
    registry(OLD).update(created.id, SIGNED.model_copy(update={"signing_secret": SECOND}))
    registry(f"{NEW},{OLD}").reseal()
    (retiring,) = registry(NEW).get("signed").retiring_secrets
    assert retiring.secret == SIGNED.signing_secret


def test_the_key_file_of_a_host_takes_several_keys_too(
    registry: Callable[[str], ConsumerRegistry], tmp_path: Path
) -> None:
    created, _ = registry("").create(SIGNED)
    path = tmp_path / "var" / KEY_FILE
    path.write_text(f"{NEW},{path.read_text()}\n")
    assert registry("").desired() == [created]
    registry("").reseal()
    assert registry(NEW).get("signed").spec == created.spec


def test_the_rotation_reports_that_the_store_is_down(make_app: Callable[..., Flask]) -> None:
    app = make_app(mongo_uri=f"mongodb://127.0.0.1:{free_port()}/none")
    result = app.test_cli_runner().invoke(args=["rotate-secret-key"])
    said = "Error: MongoDB cannot be reached (Connection refused). Try again shortly.\n"
    assert (result.exit_code, result.output) == (1, said)
