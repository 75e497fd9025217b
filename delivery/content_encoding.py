"""Translates AMQP's `content-encoding` to HTTP: to a coding of the body or to a charset.

AMQP 0-9-1 does not define its values. kombu, Celery and Spring AMQP set it to the charset of the text, which HTTP has
in Content-Type. A server answers 415 to a Content-Encoding that is not a coding (RFC 9110 §8.4).
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

_CODINGS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"})
"""Content codings of IANA's registry (RFC 9110 §16.6.1), except those that general servers do not support."""

_PYTHONS_OWN = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "unicode_escape",
                          "raw_unicode_escape", "utf-7"})  # fmt: skip
"""Text encodings of Python that HTTP servers do not support as charsets."""

_HAS_CHARSET = re.compile(r";\s*charset\s*=", re.IGNORECASE)
_ISO_8859 = re.compile(r"iso8859-(\d+)")
_WINDOWS = re.compile(r"cp(125\d|874)")


@lru_cache(256)
def encoding_of(content_encoding: str | bytes) -> tuple[str | None, str | None]:
    """Return the value of HTTP's Content-Encoding and the charset for Content-Type, each None if there is none. pika
    returns bytes for a text that is not UTF-8."""
    if isinstance(content_encoding, bytes):
        return None, None
    names = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [name for name in names if name != "identity"]
    if codings and all(name in _CODINGS for name in codings):
        return ", ".join(codings), None
    return None, _charset(names[0]) if len(names) == 1 else None


def undecoded(content_encoding: str | bytes | None) -> str:
    """Return the clause of an error text that says that a body is compressed, so that the service cannot read it; empty
    if it is not."""
    coding = encoding_of(content_encoding)[0] if content_encoding else None
    return f"; its content encoding is {coding}, which the service does not decode" if coding else ""


def with_charset(content_type: str, charset: str | None) -> str:
    """Return the media type with `charset`, unless it already has one or `charset` is None."""
    if charset is None or _HAS_CHARSET.search(content_type):
        return content_type
    return f"{content_type}; charset={charset}"


def _charset(name: str) -> str | None:
    """Return the IANA name of a charset that Python knows; None for other names, such as kombu's `binary`."""
    try:
        "".encode(name)  # raises for codecs that are not charsets, such as base64
    except (LookupError, ValueError, UnicodeError):
        return None
    known = codecs.lookup(name).name
    if known in _PYTHONS_OWN:
        return None
    if known in ("ascii", "utf-8-sig"):
        return "utf-8"  # ASCII is a subset of UTF-8, utf-8-sig adds a byte order mark; every server supports UTF-8
    return _WINDOWS.sub(r"windows-\1", _ISO_8859.sub(r"iso-8859-\1", known))
