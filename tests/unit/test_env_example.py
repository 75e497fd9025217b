"""Every setting is documented, with the default that the code has: in .env.example and in README's table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from config import Settings

PROJECT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"^# (?P<text>.+)\n#(?P<name>[A-Z_]+)=(?P<default>.*)$", re.MULTILINE)
ROW = re.compile(r"^\| `(?P<name>[A-Z_]+)` \| (?:`(?P<default>[^`]+)`|) *\| (?P<text>.+) \|$", re.MULTILINE)

FIELDS = sorted(Settings.model_fields.items())


def default_of(field: FieldInfo) -> str:
    return field.default.get_secret_value() if isinstance(field.default, SecretStr) else str(field.default)


@pytest.mark.parametrize(("name", "field"), FIELDS, ids=[name.upper() for name, _ in FIELDS])
@pytest.mark.parametrize(("document", "entry"), [(".env.example", EXAMPLE), ("README.md", ROW)], ids=["env", "readme"])
def test_each_setting_is_documented_with_its_default(
    document: str, entry: re.Pattern[str], name: str, field: FieldInfo
) -> None:
    entries = {found["name"]: found for found in entry.finditer((PROJECT / document).read_text())}

    assert name.upper() in entries, f"{document} says nothing of {name.upper()}"
    assert (entries[name.upper()]["default"] or "") == default_of(field)
    assert entries[name.upper()]["text"] == field.description


@pytest.mark.parametrize(("document", "entry"), [(".env.example", EXAMPLE), ("README.md", ROW)], ids=["env", "readme"])
def test_nothing_is_documented_that_is_not_a_setting(document: str, entry: re.Pattern[str]) -> None:
    names = {found["name"] for found in entry.finditer((PROJECT / document).read_text())}

    assert names <= {name.upper() for name, _ in FIELDS}


def test_a_copy_of_the_example_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _ in FIELDS:
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / ".env").write_text((PROJECT / ".env.example").read_text())
    monkeypatch.chdir(tmp_path)

    assert Settings().model_fields_set == set()
