"""Regular expressions of users: names to find, permissions, policies. One thread serves all clients, so no expression
may take long: RE2 searches in linear time and bounded memory (https://github.com/google/re2/wiki/Syntax)."""

from __future__ import annotations

from functools import lru_cache

import re2

MAX_MEMORY = 256 * 1024  # bytes; a search in a name of 255 bytes takes about 3 ms at most
_BUT = "^(?!"


class Pattern:
    """Searches names. RabbitMQ's expressions are PCRE's, of which RE2 lacks backreferences and looking around; at the
    start, `^(?!…)` is known all the same, because RabbitMQ's users write it: `^(?!amq\\.).*`.
    """

    __slots__ = ("_searched", "_unwanted")

    def __init__(self, expression: str, *, ignore_case: bool = False) -> None:
        """Raises ValueError for an expression that is none, or too large."""
        unwanted, searched = _parts(expression)
        self._searched = _compiled(searched, ignore_case)
        self._unwanted = _compiled(unwanted, ignore_case) if unwanted else None

    def found_in(self, name: str) -> bool:
        """Whether it matches somewhere in the name."""
        text = name.encode("utf-8", "surrogateescape")  # as the name came over the wire
        if self._unwanted is not None and self._unwanted.search(text):
            return False
        return self._searched.search(text) is not None


@lru_cache(maxsize=256)
def pattern(expression: str) -> Pattern:
    """The Pattern of an expression, in which case counts. Raises ValueError, as its constructor does."""
    return Pattern(expression)


def _parts(expression: str) -> tuple[str, str]:
    """An expression that must not match, and one that must: of `^(?!X)Y` they are `^(?:X)` and `^(?:Y)`."""
    if expression.startswith(_BUT):
        for place, char in enumerate(expression):
            inner, rest = expression[len(_BUT) : place], expression[place + 1 :]
            if char == ")" and _is_whole(inner) and _is_whole(rest) and not _has_branches(rest):
                return f"^(?:{inner})", f"^(?:{rest})"
    return "", expression


def _has_branches(expression: str) -> bool:
    """Whether it is of the form `a|b`."""
    bars = [place for place, char in enumerate(expression) if char == "|"]
    return any(_is_whole(expression[:place]) and _is_whole(expression[place + 1 :]) for place in bars)


def _is_whole(expression: str) -> bool:
    try:
        _compiled(expression, ignore_case=False)
    except ValueError:
        return False
    return True


def _compiled(expression: str, ignore_case: bool) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.case_sensitive = not ignore_case
    options.log_errors = False  # it would write to stderr for each search that needs more memory
    try:
        return re2.compile(expression, options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0]
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(error)) from error
