"""What AMQP's `content-encoding` means in HTTP: a coding of the body, or a charset.

AMQP 0-9-1 does not say which values it takes. kombu, Celery and Spring AMQP put the charset of the text there, which
HTTP has in Content-Type. A server answers 415 to a Content-Encoding that is not a coding (RFC 9110 §8.4).
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

_CODINGS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"})
"""IANA's registry of content codings (RFC 9110 §16.6.1), without those that no general server reads."""

_PYTHONS_OWN = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape", "unicode_escape",
                          "raw_unicode_escape", "utf-7"})  # fmt: skip
"""Text encodings of Python's codecs that no HTTP server reads as a charset."""

_HAS_CHARSET = re.compile(r";\s*charset\s*=", re.IGNORECASE)
_ISO_8859 = re.compile(r"iso8859-(\d+)")
_WINDOWS = re.compile(r"cp(125\d|874)")


@lru_cache(256)
def encoding_of(content_encoding: str | bytes) -> tuple[str | None, str | None]:
    """The value for HTTP's Content-Encoding, and the charset for Content-Type; None where there is none. Bytes are what
    a driver makes of text that is not UTF-8."""
    if isinstance(content_encoding, bytes):
        return None, None
    names = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [name for name in names if name != "identity"]
    if codings and all(name in _CODINGS for name in codings):
        return ", ".join(codings), None
    return None, _charset(names[0]) if len(names) == 1 else None


def with_charset(content_type: str, charset: str | None) -> str:
    """A media type with a charset, unless it names one already or there is none."""
    if charset is None or _HAS_CHARSET.search(content_type):
        return content_type
    return f"{content_type}; charset={charset}"


def _charset(name: str) -> str | None:
    """IANA's name of a charset that Python knows; None for anything else, such as kombu's `binary`."""
    try:
        "".encode(name)  # refuses what is a codec and no charset, such as base64
    except (LookupError, ValueError, UnicodeError):
        return None
    known = codecs.lookup(name).name
    if known in _PYTHONS_OWN:
        return None
    if known in ("ascii", "utf-8-sig"):
        return "utf-8"  # the one is a part of it, the other is it with a mark; every server takes it
    return _WINDOWS.sub(r"windows-\1", _ISO_8859.sub(r"iso-8859-\1", known))
