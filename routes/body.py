"""Reads request bodies and checks their type, size and completeness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, request
from werkzeug.wsgi import get_content_length

from domain.errors import Invalid
from middlewares.request_log import note

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_RAW = "workerrmq.body"


class UnsupportedType(Invalid):
    """The body's content type or encoding is not supported."""

    code = "unsupported_media_type"


class TooLarge(Invalid):
    """The body is larger than MAX_BODY_BYTES."""

    code = "body_too_large"


class TooSlow(Invalid):
    """The body did not arrive within BODY_TIMEOUT."""

    code = "body_timeout"


def read(types: tuple[str, ...] = ("application/json",)) -> bytes:
    """Return the body of the current request. A missing Content-Type means the first of `types`.

    Raises UnsupportedType, TooLarge, TooSlow, and Invalid for an incomplete body.
    """
    environ = request.environ
    if environ.get("CONTENT_TYPE") not in types:  # the common case needs no parsing
        _check_type(types)
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedType("Send the body without Content-Encoding.")
    environ[_RAW] = raw = _whole(environ)
    return raw


def raw_body() -> bytes:
    """Return the body that `read` has read in the current request; empty before that."""
    raw: bytes = request.environ.get(_RAW, b"")
    return raw


def _check_type(types: tuple[str, ...]) -> None:
    given = request.mimetype
    is_json = given.startswith("application/") and given.endswith("+json") and "application/json" in types
    if given and given not in types and not is_json:
        raise UnsupportedType(f"Send the header Content-Type: {' or '.join(types)}.")
    if request.mimetype_params.get("charset", "utf-8").lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise UnsupportedType("Send the body in UTF-8.")


def _whole(environ: WSGIEnvironment) -> bytes:
    # Werkzeug's own limit truncates chunked bodies silently, so this reads and measures the server's stream.
    stream = environ["wsgi.input"]
    limit: int = current_app.config["MAX_BODY_BYTES"]
    length = get_content_length(environ)
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""
    if length is not None and length > limit:
        raise TooLarge(f"The body has {length} bytes. At most {limit} are allowed.")
    try:
        raw: bytes = stream.read(limit + 1 if length is None else length)
    except TimeoutError:
        raise TooSlow("The body arrived too slowly. Send it faster (BODY_TIMEOUT for each 16 KiB).") from None
    except Exception as exc:  # noqa: BLE001 - PEP 3333 names no errors; each server raises its own
        note(cause=type(exc).__name__)
        raise Invalid("The body is incomplete or not well-formed. Send all of it, in valid chunks.") from None
    if len(raw) > limit:
        raise TooLarge(f"The body has more than {limit} bytes, which is the limit.")
    if length is not None and len(raw) < length:
        raise Invalid(f"The body ended after {len(raw)} of {length} bytes.")
    return raw
