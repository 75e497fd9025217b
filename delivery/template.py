"""URLs with places for what a message says, as in `https://erp.example/{header:x-tenant}/orders?id={messageId}`.

Path and query only: no message chooses the scheme, host, port or user that it is sent to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from delivery.copies import Source, original
from delivery.header_values import text_of

_PLACE = re.compile(r"\{([^{}]*)\}")
_PARTS = re.compile(r"(?P<authority>[^/?#]*//[^/?#]*)(?P<path>[^?#]*)(?P<query>.*)", re.DOTALL)
_NOT_IN_A_PATH = re.compile(rb"[\x00-\x1f\x7f/\\]")
_DOTS = (".", "..")


class Unsendable(ValueError):
    """No request can be made of a message: it lacks what the URL needs, or has what no URL may hold. Another message
    of the same queue may well be fine."""


class UrlTemplate:
    """Places are `{messageId}`, `{correlationId}`, `{routingKey}` and `{header:NAME}`, the message's as they were
    published; values are percent-encoded (RFC 3986 §2.1). Raises ValueError with a sentence for any other.

    A message whose value is missing or empty is not sent, for `/orders/` is often another resource than `/orders/17`.
    Nor is one that would leave its place in the path: a value with a slash, backslash or control character (many
    servers take `%2F` for a slash), or one that makes a segment `.` or `..` (RFC 3986 §5.2.4 removes those).
    """

    def __init__(self, url: str) -> None:
        parts = _PARTS.match(url)
        if parts is None:
            raise ValueError("is not a URL with a host")
        if "{" in parts["authority"] or "}" in parts["authority"]:
            raise ValueError("must have its placeholders in the path or the query, never in scheme, host, port or user")
        self._authority = parts["authority"]
        self._path, self._path_places = _compiled(parts["path"])
        self._query, self._query_places = _compiled(parts["query"])

    @property
    def fixed(self) -> bool:
        """Whether every message goes to the same URL."""
        return not self._path_places and not self._query_places

    def expand(self, source: Source) -> str:
        """The URL for one message. Raises Unsendable with the reason."""
        path = self._path
        if self._path_places:
            path %= tuple(_encoded(name, value, source, in_path=True) for name, value in self._path_places)
            if any(unquote(segment) in _DOTS for segment in path.split("/")):
                raise Unsendable(f"its values make a '.' or '..' of the path {path!r}")
        query = tuple(_encoded(name, value, source, in_path=False) for name, value in self._query_places)
        return self._authority + path + self._query % query


_Value = Callable[[Source], object]


def _compiled(text: str) -> tuple[str, list[tuple[str, _Value]]]:
    """A %-format, and what goes into it."""
    places = [(name, _value(name)) for name in _PLACE.findall(text)]
    literal = _PLACE.sub("\0", text)
    if "{" in literal or "}" in literal:
        raise ValueError("has a brace without its other; a literal one is %7B or %7D")
    return literal.replace("%", "%%").replace("\0", "%s"), places


def _value(name: str) -> _Value:
    if name in _VALUES:
        return _VALUES[name]
    kind, _, header = name.partition(":")
    if kind != "header" or not header:
        known = ", ".join(f"{{{known}}}" for known in _VALUES)
        raise ValueError(f"has a placeholder {{{name}}}; there are {known} and {{header:NAME}}")
    return lambda source: (source.properties.headers or {}).get(header)


_VALUES: dict[str, _Value] = {
    "messageId": lambda source: source.message_id,
    "correlationId": lambda source: source.properties.correlation_id,
    "routingKey": lambda source: original(source.exchange, source.routing_key, source.properties)[1],
}


def _encoded(name: str, value: _Value, source: Source, *, in_path: bool) -> str:
    found = value(source)
    text = text_of(found)
    if not text:
        missing = "is missing" if found is None else "is empty" if text is not None else "is no single value"
        raise Unsendable(f"the URL needs {{{name}}}, which {missing}")
    octets = text.encode() if isinstance(text, str) else text
    if in_path and _NOT_IN_A_PATH.search(octets):
        raise Unsendable(f"{{{name}}} has a slash, backslash or control character, which the URL's path must not have")
    return quote(octets, safe="")
