"""The API's documentation: GET /openapi.json for programs, GET /docs for people. It is public and contains no secret.

/docs is HTML and CSS made from the same document. It has no script and loads nothing from other servers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Response, current_app, render_template
from pydantic_core import to_json

from routes.api import Api
from routes.openapi import document
from routes.page import marked, schema_rows, sections
from runtime.version import VERSION

api = Api("documentation")
api.blueprint.template_folder = "templates"


_HTML, _CSS = "text/html; charset=utf-8", "text/css; charset=utf-8"
_STYLE = Path(__file__).with_name("static") / "docs.css"
_CACHING = {"Cache-Control": "public, max-age=300"}  # seconds; the content changes only with the release
_DOCS_CSP = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class Description:
    """The OpenAPI document and the HTML page, each built at its first use. If two threads build one at the same time,
    the results are equal."""

    def __init__(self, apis: list[Api]) -> None:
        self._apis = apis
        self._document: dict[str, Any] | None = None
        self._page: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self._document is None:
            self._document = document([(one.blueprint.name, one.operations) for one in self._apis], VERSION)
        return self._document

    def page(self) -> str:
        """Return the HTML page."""
        if self._page is None:
            described = self.document()
            about = [marked(part) for part in described["info"]["description"].split("\n\n")]
            parts = {"about": about, "sections": sections(described), "schemas": schema_rows(described)}
            self._page = render_template("docs.html", document=described, **parts)
        return self._page


def _description() -> Description:
    description: Description = current_app.extensions["description"]
    return description


def _cached(content: bytes | str, media: str, **headers: str) -> Response:
    return Response(content, headers={**_CACHING, **headers}, content_type=media)


@api.get("/openapi.json", public=True, answer=dict[str, Any])
def openapi() -> Response:
    """Get this document (OpenAPI 3.1)."""
    return _cached(to_json(_description().document()) + b"\n", "application/json")


@api.get("/docs", public=True, media=_HTML)
def docs() -> Response:
    """Get this document as an HTML page, with an example of each operation."""
    return _cached(_description().page(), _HTML, **{"Content-Security-Policy": _DOCS_CSP})


@api.get("/docs/style.css", public=True, media=_CSS)
def style() -> Response:
    """Get the style sheet of the page."""
    return _cached(_STYLE.read_bytes(), _CSS)
