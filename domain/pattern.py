"""Regular expressions that clients send, searched by RE2 in linear time (https://github.com/google/re2/wiki/Syntax)."""

from __future__ import annotations

import re2

_MAX_BYTES = 256 << 10
"""Limit of memory for one compiled expression. Within it, a search in a name of 255 bytes takes at most 3 ms."""


class Pattern:
    """A compiled expression that ignores case."""

    def __init__(self, expression: str) -> None:
        """Raises ValueError with a sentence if the expression is invalid or needs too much memory."""
        options = re2.Options()
        options.max_mem, options.case_sensitive = _MAX_BYTES, False
        options.log_errors = False  # otherwise RE2 writes a line to stderr for each search that needs more memory
        try:
            self._search = re2.compile(expression, options).search
        except (re2.error, UnicodeEncodeError) as exc:
            raise ValueError(
                f"must be a regular expression in RE2 syntax, without lookaround: {_reason(exc)}"
            ) from None

    def found_in(self, text: str) -> bool:
        """Return whether the expression matches anywhere in the text."""
        return self._search(text.encode("utf-8", "replace")) is not None


def _reason(error: Exception) -> str:
    reason = error.args[0]
    return reason.decode(errors="replace") if isinstance(reason, bytes) else "it is not valid Unicode"
