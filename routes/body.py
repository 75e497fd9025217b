"""The bytes of a request body: JSON by type, whole, and no larger than the settings allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, request

from domain.errors import Invalid
from middlewares.request_log import note

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_RAW = "workerrmq.body"


class UnsupportedType(Invalid):
    """The body is not of a type that the route takes."""

    code = "unsupported_media_type"


class TooLarge(Invalid):
    """The body is over the limit."""

    code = "body_too_large"


class TooSlow(Invalid):
    """The body did not come in time."""

    code = "body_timeout"


def read(types: tuple[str, ...] = ("application/json",)) -> bytes:
    """The body of the current request. A missing Content-Type is taken for the first of `types`.

    Raises UnsupportedType, TooLarge, TooSlow, and Invalid when it ends early.
    """
    environ = request.environ
    if environ.get("CONTENT_TYPE") not in types:  # else it is just so, and nothing needs parsing
        _check_type(types)
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedType("Send the body without Content-Encoding.")
    environ[_RAW] = raw = _whole(environ)
    return raw


def raw_body() -> bytes:
    """What `read` has read of the current request."""
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
    # Werkzeug's own limit cuts chunked bodies off in silence: the server's stream is read and measured here.
    stream = environ["wsgi.input"]
    limit: int = current_app.config["MAX_BODY_BYTES"]
    length = request.content_length
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""
    if length is not None and length > limit:
        raise TooLarge(f"The body has {length} bytes; at most {limit} are taken.")
    try:
        raw: bytes = stream.read(limit + 1 if length is None else length)
    except TimeoutError:
        raise TooSlow("The body did not arrive in time. Send it faster.") from None
    except Exception as exc:  # noqa: BLE001 - PEP 3333 names no errors; each server raises its own
        note(cause=type(exc).__name__)
        raise Invalid("The body is not well-formed, or broke off. Send all of it, in valid chunks.") from None
    if len(raw) > limit:
        raise TooLarge(f"The body has more than the {limit} bytes that are taken.")
    if length is not None and len(raw) < length:
        raise Invalid(f"The body broke off after {len(raw)} of {length} bytes.")
    return raw
