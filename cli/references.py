"""References in a configuration file, `${env:NAME}` and `${file:PATH}`, resolved on the operator's machine. `$${env:…}`
stands for the text `${env:…}`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_REFERENCE = re.compile(r"(?P<escape>\$+)?\$\{(?P<kind>env|file):(?P<name>[^}]*)\}")


def resolved(content: Any, directory: Path) -> Any:
    """Return the content with all references replaced by the values of environment variables and the texts of files,
    without their last line break. Paths are relative to `directory`. Raises ValueError with a sentence."""
    return _mapped(content, lambda text: _REFERENCE.sub(lambda found: _value(found, directory), text))


def escaped(content: Any) -> Any:
    """Return the content in a form of which `resolved` returns it unchanged."""
    return _mapped(content, lambda text: _REFERENCE.sub(lambda found: f"${found[0]}", text))


def _mapped(content: Any, change: Callable[[str], str]) -> Any:
    match content:
        case str():
            return change(content)
        case list():
            return [_mapped(one, change) for one in content]
        case dict():
            return {name: _mapped(one, change) for name, one in content.items()}
    return content


def _value(found: re.Match[str], directory: Path) -> str:
    if found["escape"]:
        return found[0][1:]
    if found["kind"] == "env":
        value = os.environ.get(found["name"])
        if value is None:
            raise ValueError(f"The environment variable {found['name']} is not set.")
        return value
    try:
        return (directory / found["name"]).read_text().removesuffix("\n")
    except (OSError, UnicodeError, ValueError) as exc:
        raise ValueError(f"The file {found['name']} cannot be read: {exc}.") from None
