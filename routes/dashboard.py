"""The dashboard: GET / is a page that uses the public API, and /dashboard/… the files that it is made of.

The files are read once a process and kept compressed. Their address has a digest of all of them in it, so that browsers
keep them for good and never mix two releases.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flask import Response, render_template, request

from domain.errors import NotFound
from routes.api import Api

api = Api("dashboard")
api.blueprint.template_folder = "templates"

_ROOT = Path(__file__).with_name("static") / "dashboard"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HTML = "text/html; charset=utf-8"
_FIRST = ("api.js", "dom.js", "format.js", "live.js", "login.js", "form.js", "notice.js", "router.js")
"""What main.js imports: fetched at the same time as itself."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No script but our files, no markup made of text (https://www.w3.org/TR/trusted-types/); Pico has images as data:."""

_FOR_GOOD = "public, max-age=31536000, immutable"  # seconds
_ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is sent."""

    content: bytes
    compressed: bytes
    media: str
    etag: str


@lru_cache(maxsize=1)
def _files() -> dict[str, StaticFile]:
    found = {}
    for path in sorted(_ROOT.rglob("*")):
        if media := _TYPES.get(path.suffix):
            content = path.read_bytes()
            etag = hashlib.sha256(content).hexdigest()[:16]
            name = path.relative_to(_ROOT).as_posix()
            found[name] = StaticFile(content, gzip.compress(content, 9, mtime=0), media, etag)
    return found


@lru_cache(maxsize=1)
def _version() -> str:
    every = "".join(f"{name} {one.etag}" for name, one in _files().items())
    return hashlib.sha256(every.encode()).hexdigest()[:12]


@api.get("/", public=True, media=_HTML)
def dashboard() -> Response:
    """The dashboard, for people. It logs in by POST /login and uses nothing but this API."""
    page = render_template("dashboard.html", at=f"dashboard/{_version()}", first=_FIRST)
    answer = Response(page, content_type=_HTML)
    answer.headers["Content-Security-Policy"] = CSP
    answer.headers["Cache-Control"] = _ASK_AGAIN
    answer.set_etag(hashlib.sha256(page.encode()).hexdigest()[:16])
    answer.make_conditional(request)
    return answer


def _file(version: str, name: str) -> Response:
    found = _files().get(name)
    if found is None:
        raise NotFound("There is no such file.")
    zipped = request.accept_encodings.quality("gzip") > 0
    answer = Response(found.compressed if zipped else found.content, content_type=found.media)
    if zipped:
        answer.headers["Content-Encoding"] = "gzip"
    answer.vary.add("Accept-Encoding")
    # While releases change, a page may ask a host that has another one already.
    answer.headers["Cache-Control"] = _FOR_GOOD if version == _version() else _ASK_AGAIN
    answer.set_etag(f"{found.etag}{'-gzip' if zipped else ''}")
    answer.make_conditional(request)
    return answer


FILES = "/dashboard/<version>/<path:name>"
"""Not an operation of the API: what the page fetches."""

api.blueprint.add_url_rule(FILES, "file", _file, methods=["GET"], provide_automatic_options=False)
