"""AMQP's content-encoding in HTTP: codings stay, charsets go to Content-Type, anything else is left out."""

from __future__ import annotations

import pytest

from delivery.content_encoding import encoding_of, with_charset


@pytest.mark.parametrize(
    ("value", "coding"),
    [("gzip", "gzip"), ("GZIP", "gzip"), ("deflate", "deflate"), ("br", "br"), ("zstd", "zstd"), ("x-gzip", "x-gzip"),
     ("compress", "compress"), ("gzip, br", "gzip, br"), ("identity, gzip", "gzip")],
)  # fmt: skip
def test_registered_codings_are_forwarded(value: str, coding: str) -> None:
    assert encoding_of(value) == (coding, None)


@pytest.mark.parametrize(
    ("value", "charset"),
    [("utf-8", "utf-8"), ("UTF-8", "utf-8"), ("utf8", "utf-8"), ("us-ascii", "utf-8"), ("latin-1", "iso-8859-1"),
     ("ISO-8859-15", "iso-8859-15"), ("cp1252", "windows-1252"), ("utf-16", "utf-16"), ("shift_jis", "shift_jis")],
)  # fmt: skip
def test_charsets_go_to_the_content_type(value: str, charset: str) -> None:
    assert encoding_of(value) == (None, charset)


@pytest.mark.parametrize(
    "value", ["", "binary", "base64", "identity", "hex", "idna", "unicode_escape", "nonsense", "gzip, utf-8", "a\x00b",
              "é", "x" * 255, b"\xff"],
)  # fmt: skip
def test_anything_else_is_left_out(value: str | bytes) -> None:
    assert encoding_of(value) == (None, None)


def test_a_charset_that_the_publisher_named_stays() -> None:
    assert with_charset("text/plain; charset=latin-1", "utf-8") == "text/plain; charset=latin-1"
    assert with_charset("text/plain;CHARSET = x", "utf-8") == "text/plain;CHARSET = x"
    assert with_charset("application/json", "utf-8") == "application/json; charset=utf-8"
    assert with_charset("application/json", None) == "application/json"
