"""Origins of web pages, as in the header Origin (RFC 6454 §6.2)."""

from __future__ import annotations

import re

ANY = "*"
_ORIGIN = re.compile(r"https?://[^/?#@\s]+")


def parse_origins(listed: str) -> list[str]:
    """Return the origins of a list with commas; `*` stands for any. Raises ValueError if one is not an origin."""
    found = [part.strip() for part in listed.split(",") if part.strip()]
    for one in found:
        if one != ANY and not _ORIGIN.fullmatch(one):
            raise ValueError(f"must be origins such as https://app.example.com, without a path; {one!r} is none")
    return found
