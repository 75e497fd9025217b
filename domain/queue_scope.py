"""Which queues an API key is for: names with `*` for anything and `?` for one character, as in `orders.*`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class QueueScope:
    """Queues by the patterns of their names; case counts."""

    patterns: tuple[str, ...]

    def admits(self, name: str) -> bool:
        """Whether a queue of that name is one of them."""
        return _compiled(self.patterns).match(name) is not None

    def admits_all(self, names: Iterable[str | None]) -> bool:
        """Whether all of them are; None stands for something that is no queue, and is not."""
        return all(name is not None and self.admits(name) for name in names)

    @property
    def regex(self) -> str:
        """The same for a store to search by: it means the same to Python and to PCRE."""
        return _compiled(self.patterns).pattern

    def __str__(self) -> str:
        return ", ".join(self.patterns)


@lru_cache(maxsize=1000)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"^(?:{'|'.join(map(_as_regex, patterns))})(?![\\s\\S])")  # `$` would let a newline follow


def _as_regex(pattern: str) -> str:
    """What stands between two stars is taken where it comes first, once and for all (an atomic group): no pattern makes
    the search go back and forth for ever."""
    first, *rest = (_part(part) for part in re.split(r"\*+", pattern))
    if not rest:
        return first
    return first + "".join(rf"(?>[\s\S]*?{part})" for part in rest[:-1]) + rf"[\s\S]*{rest[-1]}"


def _part(pattern: str) -> str:
    return "".join(r"[\s\S]" if char == "?" else re.escape(char) for char in pattern)
