"""Expands a URL template (domain/url_template.py) into the URL of one message."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import quote, unquote

from delivery.copies import Source, original
from delivery.header_values import text_of
from delivery.unsendable import Unsendable
from domain.url_template import HEADER, UrlTemplate

_NOT_IN_A_PATH = re.compile(rb"[\x00-\x1f\x7f/\\]")
_DOTS = (".", "..")


class UrlExpansion:
    """Replaces the placeholders by the values that the publisher set, percent-encoded (RFC 3986 §2.1).

    A message with a missing or empty value is not sent, because `/orders/` is often another resource than `/orders/17`.
    A message whose value would change the structure of the path is not sent, either: a value with a slash, backslash or
    control character (many servers decode `%2F` to a slash), or a segment `.` or `..` (RFC 3986 §5.2.4 removes those).
    """

    def __init__(self, url: UrlTemplate) -> None:
        self._authority, self._path, self._query = url.authority, url.path.format, url.query.format
        self._path_values, self._query_values = _values(url.path.placeholders), _values(url.query.placeholders)

    def expand(self, source: Source) -> str:
        """Return the URL for one message. Raises Unsendable with the reason."""
        path = self._path % tuple(_encoded(name, value, source, in_path=True) for name, value in self._path_values)
        if self._path_values and any(unquote(segment) in _DOTS for segment in path.split("/")):
            raise Unsendable(f"the message's values make a segment '.' or '..' in the path {path!r}")
        query = tuple(_encoded(name, value, source, in_path=False) for name, value in self._query_values)
        return self._authority + path + self._query % query


_Value = Callable[[Source], object]

_VALUES: dict[str, _Value] = {
    "messageId": lambda source: source.message_id,
    "correlationId": lambda source: source.properties.correlation_id,
    "routingKey": lambda source: original(source.exchange, source.routing_key, source.properties)[1],
}


def _values(placeholders: Sequence[str]) -> list[tuple[str, _Value]]:
    return [(name, _VALUES.get(name) or _header(name.removeprefix(HEADER))) for name in placeholders]


def _header(header: str) -> _Value:
    return lambda source: (source.properties.headers or {}).get(header)


def _encoded(name: str, value: _Value, source: Source, *, in_path: bool) -> str:
    found = value(source)
    text = text_of(found)
    if not text:
        missing = "is missing" if found is None else "is empty" if text is not None else "is a table or an array"
        raise Unsendable(f"the URL needs {{{name}}}, which {missing}")
    octets = text.encode() if isinstance(text, str) else text
    if in_path and _NOT_IN_A_PATH.search(octets):
        raise Unsendable(f"{{{name}}} has a slash, backslash or control character, which is not allowed in a path")
    return quote(octets, safe="")
