"""The pages: GET / returns the dashboard, GET /docs the documentation, and /dashboard/… the files of both.

Each process reads the files once and caches them compressed. Their URLs contain a digest of all files, so browsers can
cache them permanently and never mix two releases.
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
_FIRST = ("api.js", "dialog.js", "dom.js", "form.js", "format.js", "live.js", "login.js", "notice.js", "router.js")
"""The imports of main.js, which the browser fetches in parallel with it."""

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Only our files run as scripts, and no markup is made from strings (https://www.w3.org/TR/trusted-types/). Pico's
style sheet has images as data: URLs."""

_DOCS_CSP = CSP.partition("; require-trusted-types-for")[0]
"""Swagger UI makes markup from strings, after DOMPurify has cleaned them."""

_PERMANENT = "public, max-age=31536000, immutable"  # seconds
_REVALIDATE = "no-cache"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file, ready to be sent."""

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
    """Get the dashboard, an HTML page. It logs in with POST /login and uses only this API."""
    return _page("dashboard.html", CSP)


@api.get("/docs", public=True, media=_HTML)
def docs() -> Response:
    """Get the API documentation as an HTML page, on which you can try each operation."""
    return _page("docs.html", _DOCS_CSP)


def _page(template: str, policy: str) -> Response:
    page = render_template(template, at=f"dashboard/{_version()}", first=_FIRST)
    answer = Response(page, content_type=_HTML)
    answer.headers["Content-Security-Policy"] = policy
    answer.headers["Cache-Control"] = _REVALIDATE
    answer.set_etag(hashlib.sha256(page.encode()).hexdigest()[:16])
    answer.make_conditional(request)
    return answer


def _file(version: str, name: str) -> Response:
    found = _files().get(name)
    if found is None:
        raise NotFound("The file does not exist.")
    zipped = request.accept_encodings.quality("gzip") > 0
    answer = Response(found.compressed if zipped else found.content, content_type=found.media)
    if zipped:
        answer.headers["Content-Encoding"] = "gzip"
    answer.vary.add("Accept-Encoding")
    # During an upgrade, a page may fetch files from a host that runs another release.
    answer.headers["Cache-Control"] = _PERMANENT if version == _version() else _REVALIDATE
    answer.set_etag(f"{found.etag}{'-gzip' if zipped else ''}")
    answer.make_conditional(request)
    return answer


FILES = "/dashboard/<version>/<path:name>"
"""The page's files. This route is not an operation of the API."""

api.blueprint.add_url_rule(FILES, "file", _file, methods=["GET"], provide_automatic_options=False)
