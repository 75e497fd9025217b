"""URLs with places for what a message says, as in `https://erp.example/{header:x-tenant}/orders?id={messageId}`."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from domain.target import Target

PLACEHOLDERS = ("messageId", "correlationId", "routingKey")
"""Besides `{header:NAME}`."""
HEADER = "header:"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_BRACE_IN_AUTHORITY = re.compile(r"([^/?#]*//)?[^/?#]*[{}]")
_VISIBLE = re.compile(r"[!-~]*")
_PARTS = re.compile(r"(https?)://([^/?#]*)([^?#]*)([^#]*)(.*)", re.IGNORECASE)
_LONGEST = 2048


class Part(NamedTuple):
    """A path or a query: a %-format, and the placeholders whose values go into it."""

    format: str
    placeholders: tuple[str, ...]


class UrlTemplate(str):
    """An http or https URL in its normal form: scheme and host in lower case, an address in its usual form, no default
    port (RFC 3986 §6.2.2 and §6.2.3). Raises ValueError with the rest of a sentence for any other.

    Its path and query may hold placeholders: `{messageId}`, `{correlationId}`, `{routingKey}` and `{header:NAME}`. No
    message chooses the scheme, host, port or user that it is sent to.
    """

    __slots__ = ("authority", "path", "query", "target", "user_info")

    target: Target
    user_info: str
    """user name and password, as they stand before the `@`"""
    authority: str
    """`scheme://user@host:port`"""
    path: Part
    query: Part
    """with its question mark"""

    def __new__(cls, url: str) -> Self:
        if _BRACE_IN_AUTHORITY.match(url):
            raise ValueError("must have its placeholders in the path or the query, never in scheme, host, port or user")
        if not _VISIBLE.fullmatch(url):
            raise ValueError(
                "must be ASCII without spaces or control characters; percent-encode them, and write the host as xn--…"
            )
        parts = _PARTS.fullmatch(url)
        if parts is None:
            raise ValueError("must start with http:// or https://")
        scheme, authority, path, query, fragment = parts.groups()
        if fragment.strip("#"):
            raise ValueError("must not have a #fragment: it is never sent")
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
        """Whether every message goes to the same URL."""
        return not self.path.placeholders and not self.query.placeholders

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(max_length=_LONGEST))


def _part(text: str) -> Part:
    names = tuple(_PLACEHOLDER.findall(text))
    for name in names:
        if name not in PLACEHOLDERS and not (name.startswith(HEADER) and name != HEADER):
            known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            raise ValueError(f"has a placeholder {{{name}}}; there are {known} and {{header:NAME}}")
    literal = _PLACEHOLDER.sub("\0", text)
    if "{" in literal or "}" in literal:
        raise ValueError("has a brace without its other; a literal one is %7B or %7D")
    return Part(literal.replace("%", "%%").replace("\0", "%s"), names)
