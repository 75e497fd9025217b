"""docs/ARCHITECTURE.md tells the way of a delivery as a list of functions: they exist, and are at most 15."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOP = re.compile(r"^(\d+)\. `([\w/]+\.py)`, ((?:`[\w.]+`(?: or )?)+):", re.MULTILINE)


def hops() -> list[tuple[int, str, list[str]]]:
    text = (ROOT / "docs/ARCHITECTURE.md").read_text().partition("## The way of a delivery")[2].partition("\n## ")[0]
    return [(int(number), path, re.findall(r"`([\w.]+)`", names)) for number, path, names in HOP.findall(text)]


def functions(path: str) -> set[str]:
    """The functions and methods of a file, as `function` and `Class.method`."""
    found = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, ast.FunctionDef)}
    return found


def test_each_hop_names_functions_that_exist() -> None:
    assert not [(path, name) for _, path, names in hops() for name in names if name not in functions(path)]


def test_the_way_has_at_most_15_hops() -> None:
    numbers = [number for number, _, _ in hops()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 10 <= len(numbers) <= 15
