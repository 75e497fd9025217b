"""URLs with placeholders for a message's values: `https://erp.example/{header:x-tenant}/orders?id={messageId}`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from domain.target import Target

PLACEHOLDERS = ("messageId", "correlationId", "routingKey")
"""All placeholders except `{header:NAME}`."""
HEADER = "header:"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_BRACE_IN_AUTHORITY = re.compile(r"([^/?#]*//)?[^/?#]*[{}]")
_VISIBLE = re.compile(r"[!-~]*")
_PARTS = re.compile(r"(https?)://([^/?#]*)([^?#]*)([^#]*)(.*)", re.IGNORECASE)
_LONGEST = 2048


class Part(NamedTuple):
    """A path or a query: a %-format string, and the names of the placeholders that fill it."""

    format: str
    placeholders: tuple[str, ...]


class UrlTemplate(str):
    """An http or https URL in its normal form: scheme and host in lower case, an address in its usual form, no default
    port (RFC 3986 §6.2.2 and §6.2.3). Raises ValueError with a predicate ("must have …") for other text.

    Path and query may contain placeholders: `{messageId}`, `{correlationId}`, `{routingKey}` and `{header:NAME}`. The
    scheme, host, port and user must not, so that no message chooses its target.
    """

    __slots__ = ("authority", "path", "query", "target", "user_info")

    target: Target
    user_info: str
    """user name and password: the text before the `@`"""
    authority: str
    """`scheme://user@host:port`"""
    path: Part
    query: Part
    """includes the question mark"""

    def __new__(cls, url: str) -> Self:
        if _BRACE_IN_AUTHORITY.match(url):
            raise ValueError("must have placeholders only in the path or the query, not in scheme, host, port or user")
        if not _VISIBLE.fullmatch(url):
            raise ValueError(
                "must be ASCII without spaces or control characters; percent-encode them, and write the host as xn--…"
            )
        parts = _PARTS.fullmatch(url)
        if parts is None:
            raise ValueError("must start with http:// or https://")
        scheme, authority, path, query, fragment = parts.groups()
        if fragment.strip("#"):
            raise ValueError("must not have a #fragment: HTTP does not send it")
        if "\\" in authority or authority.count("@") > 1:
            raise ValueError("must not have a backslash or a second @ before its path; percent-encode them")
        user_info, at, place = authority.rpartition("@")
        target = Target.parse(scheme.lower(), place)
        authority = f"{target.scheme}://{user_info}{at}{target.place}"
        self = super().__new__(cls, authority + path + query)
        self.target, self.user_info, self.authority = target, user_info, authority
        self.path, self.query = _part(path), _part(query)
        return self

    @property
    def fixed(self) -> bool:
        """Whether the URL has no placeholders, so that it is the same for every message."""
        return not self.path.placeholders and not self.query.placeholders

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(max_length=_LONGEST))


def _part(text: str) -> Part:
    names = tuple(_PLACEHOLDER.findall(text))
    for name in names:
        if name not in PLACEHOLDERS and not (name.startswith(HEADER) and name != HEADER):
            known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            raise ValueError(f"has an unknown placeholder {{{name}}}; allowed: {known} and {{header:NAME}}")
    literal = _PLACEHOLDER.sub("\0", text)
    if "{" in literal or "}" in literal:
        raise ValueError("has an unmatched brace; write a literal brace as %7B or %7D")
    return Part(literal.replace("%", "%%").replace("\0", "%s"), names)
