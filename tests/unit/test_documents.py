"""The documents hang together: links lead somewhere, every page is in the table of contents, snippets are valid."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from config import Settings

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
PAGES = [*sorted(PROJECT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
BLOCK = re.compile(r"^ *```(?P<language>\w*)\n(?P<content>.*?)^ *```$", re.MULTILINE | re.DOTALL)


def named(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def blocks(page: Path, language: str) -> list[str]:
    return [block["content"] for block in BLOCK.finditer(page.read_text()) if block["language"] == language]


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.finditer(BLOCK.sub("", page.read_text())):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        assert target.exists(), link[0]
        if link["anchor"]:
            assert link["anchor"] in anchors(target), link[0]


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = DOCS / "README.md"
    linked = {(DOCS / link["path"]).resolve() for link in LINK.finditer(contents.read_text())}
    assert set(DOCS.rglob("*.md")) - {contents} <= linked


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_settings_in_snippets_are_settings_that_are_accepted(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for snippet in blocks(page, "env"):
        names = {line.strip().partition("=")[0].lower() for line in snippet.splitlines() if line.strip()}
        assert names <= set(Settings.model_fields)
        (tmp_path / ".env").write_text(snippet)
        assert Settings(_env_file=tmp_path / ".env").model_fields_set == names


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_shell_snippets_are_shell(page: Path) -> None:
    for snippet in blocks(page, "bash"):
        subprocess.run(["bash", "-n"], input=snippet.encode(), check=True)
