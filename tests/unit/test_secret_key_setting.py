"""SECRET_KEY must be long, and not one that everybody can read in a document."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

import config
from config import SettingsError
from gateway.mongo.secrets import KEY_FILE, MIN_KEY, Sealer

PROJECT = Path(__file__).parents[2]
LONG = "6WmL0b1xSPVEIzSQeiS+0nSnQpPOX7PvhCyh/WqCKJc="
MAKES_ONE = "openssl rand -base64 32"


def load(key: str, data_dir: Path) -> config.Settings:
    return config.load(_env_file=None, secret_key=SecretStr(key), data_dir=data_dir)


@pytest.mark.parametrize("key", ["x", "x" * 31, "é" * 15, f"{'x' * 31},{LONG}", f" {'x' * 31} ", f",{'x' * 31}"])
def test_a_short_key_is_refused_with_how_to_make_one(key: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY has fewer than 32 bytes") as refused:
        load(key, tmp_path)
    assert MAKES_ONE in str(refused.value)
    assert "xxx" not in str(refused.value)
    assert "é" not in str(refused.value)


@pytest.mark.parametrize("key", [LONG, "é" * 16, "x" * 32, f"{LONG},short", f" {LONG} , old "])
def test_a_long_key_is_taken_with_short_ones_that_it_replaces(key: str, tmp_path: Path) -> None:
    assert load(key, tmp_path).secret_key.get_secret_value() == key


@pytest.mark.parametrize(
    "key",
    [
        "changeme-changeme-changeme-changeme",
        "this-is-an-example-of-a-secret-key",
        "put your secret key here before you start",
        "new-key-of-32-random-bytes-and-more",
    ],
)
def test_an_example_is_refused(key: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY is an example from documentation"):
        load(key, tmp_path)


def test_every_key_in_a_document_of_ours_is_refused(tmp_path: Path) -> None:
    documents = [
        *PROJECT.glob("*.md"),
        *PROJECT.glob("docs/**/*.*"),
        PROJECT / ".env.example",
        *PROJECT.glob("examples/**/*.py"),
    ]
    texts = [path.read_text() for path in documents if path.suffix in {".md", ".yaml", ".service", ".example", ".py"}]
    given = re.findall(r"SECRET_KEY[=:] ?[\"']?([^\s\"'`)]+)", "\n".join(texts))
    keys = [key for key in given if "$" not in key]
    assert keys, "this looks into the wrong files"
    for key in keys:
        with pytest.raises(SettingsError):
            load(key, tmp_path)


def test_the_command_of_the_sentence_makes_a_key_that_is_taken(tmp_path: Path) -> None:
    made = subprocess.run(MAKES_ONE.split(), capture_output=True, text=True, check=True).stdout.strip()
    assert len(made) >= MIN_KEY
    load(made, tmp_path)


def test_the_key_file_of_the_host_is_judged_unless_there_is_a_key(tmp_path: Path) -> None:
    Sealer.of("", tmp_path)
    load("", tmp_path)
    kept = (tmp_path / KEY_FILE).read_text()
    (tmp_path / KEY_FILE).write_text(f"{LONG},{kept}")
    load("", tmp_path)
    (tmp_path / KEY_FILE).write_text(f"short,{kept}")
    load(LONG, tmp_path)
    with pytest.raises(SettingsError, match=f"DATA_DIR has a file {KEY_FILE} whose key has fewer than 32 bytes"):
        load("", tmp_path)
