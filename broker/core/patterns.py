"""Regular expressions that clients send: of permissions, policies and name filters.

RE2 searches in linear time and refuses an expression that needs too much memory, so that none can block the broker. It
has no lookaround and no atomic groups (https://github.com/google/re2/wiki/Syntax), which RabbitMQ (PCRE) has. A pattern
with these is searched by `regex`, within a time limit; it may have no counted repetition, which `regex` unrolls.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial

import re2
import regex

_MAX_BYTES = 1 << 20
"""Memory that one compiled expression may take."""

_COUNTED = re.compile(r"(?<!\\)\{\s*[\d,]")

Search = Callable[[str], object]
"""Returns something true where the pattern matches anywhere in the text. Raises TimeoutError."""


@lru_cache(maxsize=1024)
def compiled(pattern: str, *, case_sensitive: bool = True, seconds: float = 0.05) -> Search:
    """Return the search for a pattern. One that RE2 does not know may take `seconds` for each text. Raises ValueError
    with the reason if the pattern is invalid."""
    options = re2.Options()
    options.case_sensitive, options.log_errors, options.max_mem = case_sensitive, False, _MAX_BYTES
    try:
        linear = re2.compile(pattern, options)
    except re2.error as error:
        if _COUNTED.search(pattern):
            raise ValueError(error.args[0].decode(errors="replace")) from None
        return _backtracking(pattern, case_sensitive, seconds)
    # Names of AMQP may hold bytes that are not UTF-8, as surrogates.
    return lambda text: linear.search(text.encode("utf-8", "surrogateescape"))


def _backtracking(pattern: str, case_sensitive: bool, seconds: float) -> Search:
    try:
        return partial(regex.compile(pattern, 0 if case_sensitive else regex.IGNORECASE).search, timeout=seconds)
    except regex.error as error:
        raise ValueError(str(error)) from None


def found(pattern: str, text: str, *, case_sensitive: bool = True) -> bool:
    """Return whether the pattern matches anywhere in the text; a search that takes too long finds nothing. Raises what
    `compiled` raises."""
    try:
        return bool(compiled(pattern, case_sensitive=case_sensitive)(text))
    except TimeoutError:
        return False
