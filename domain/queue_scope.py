"""The queues that an API key may use: name patterns such as `orders.*`, where `*` matches any characters, `?` one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class QueueScope:
    """A set of queues, given by patterns of their names. Patterns are case-sensitive."""

    patterns: tuple[str, ...]

    def admits(self, name: str) -> bool:
        """Return whether a pattern matches the queue's name."""
        return _compiled(self.patterns).match(name) is not None

    def admits_all(self, names: Iterable[str | None]) -> bool:
        """Return whether the scope admits every name. None stands for something other than a queue and is not
        admitted."""
        return all(name is not None and self.admits(name) for name in names)

    @property
    def regex(self) -> str:
        """A regular expression for the same names, for queries to the store. Python and PCRE read it alike."""
        return _compiled(self.patterns).pattern

    def __str__(self) -> str:
        return ", ".join(self.patterns)


@lru_cache(maxsize=1000)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(
        f"^(?:{'|'.join(map(_as_regex, patterns))})(?![\\s\\S])"
    )  # `$` also matches before a final newline


def _as_regex(pattern: str) -> str:
    """Return a regular expression for one pattern. The text between two stars is an atomic group that matches at its
    first occurrence, so that no pattern causes catastrophic backtracking."""
    first, *rest = (_part(part) for part in re.split(r"\*+", pattern))
    if not rest:
        return first
    return first + "".join(rf"(?>[\s\S]*?{part})" for part in rest[:-1]) + rf"[\s\S]*{rest[-1]}"


def _part(pattern: str) -> str:
    return "".join(r"[\s\S]" if char == "?" else re.escape(char) for char in pattern)
