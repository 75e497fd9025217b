"""Regular expressions that clients send: of permissions, policies and name filters.

The broker serves all clients on one thread, so no search may take long. RE2 searches in linear time and refuses an
expression that needs too much memory (https://github.com/google/re2/wiki/Syntax). It lacks lookaround and
backreferences, which RabbitMQ (PCRE) has. A negative lookahead at the start, as in `^(?!amq\\.).*`, works here too,
because it is common in policies; it is searched for as a second expression.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import re2

_MAX_BYTES = 256 << 10
"""Memory that one compiled expression may take: a search in a name of 255 bytes takes 3 ms at most."""

_LOOKAHEAD = "^(?!"

Search = Callable[[str], bool]
"""Returns whether the pattern matches anywhere in the text."""


@lru_cache(maxsize=1024)
def compiled(pattern: str, *, case_sensitive: bool = True) -> Search:
    """Return the search for a pattern. Raises ValueError with the reason if the pattern is invalid or too large."""
    if parts := _split_lookahead(pattern):
        unwanted, wanted = (_linear(f"^(?:{part})", case_sensitive) for part in parts)
        return lambda text: not unwanted(text) and wanted(text)
    return _linear(pattern, case_sensitive)


def found(pattern: str, text: str, *, case_sensitive: bool = True) -> bool:
    """Return whether the pattern matches anywhere in the text. Raises what `compiled` raises."""
    return compiled(pattern, case_sensitive=case_sensitive)(text)


def _linear(pattern: str, case_sensitive: bool) -> Search:
    options = re2.Options()
    options.case_sensitive, options.log_errors, options.max_mem = case_sensitive, False, _MAX_BYTES
    try:
        search = re2.compile(pattern, options).search
    except re2.error as error:
        raise ValueError(error.args[0].decode(errors="replace")) from None
    # Names of AMQP may hold bytes that are not UTF-8, as surrogates.
    return lambda text: search(text.encode("utf-8", "surrogateescape")) is not None


def _split_lookahead(pattern: str) -> tuple[str, str] | None:
    """Split `^(?!X)Y` into X and Y; None for other patterns. The bracket that ends X leaves two valid expressions."""
    if not pattern.startswith(_LOOKAHEAD):
        return None
    for place in (place for place, char in enumerate(pattern) if char == ")"):
        unwanted, wanted = pattern[len(_LOOKAHEAD) : place], pattern[place + 1 :]
        if _is_valid(unwanted) and _is_valid(wanted) and not _has_branches(wanted):
            return unwanted, wanted
    return None


def _has_branches(pattern: str) -> bool:
    """Return whether the pattern is of the form `a|b`: its branches are valid expressions, too."""
    bars = (place for place, char in enumerate(pattern) if char == "|")
    return any(_is_valid(pattern[:place]) and _is_valid(pattern[place + 1 :]) for place in bars)


def _is_valid(pattern: str) -> bool:
    try:
        _linear(pattern, case_sensitive=True)
    except ValueError:
        return False
    return True
