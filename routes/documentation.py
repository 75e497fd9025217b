"""The API's own description: GET /openapi.json for programs, GET /docs for people. Public: it holds no secret.

/docs is plain HTML and CSS from this server, made of the same document: nothing is fetched from elsewhere, and
nothing runs.
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
_CACHING = {"Cache-Control": "public, max-age=300"}  # seconds; it changes only with the code
_DOCS_CSP = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class Description:
    """What is described, in both forms, each made when it is first asked for. Two threads may both make it: they make
    the same."""

    def __init__(self, apis: list[Api]) -> None:
        self._apis = apis
        self._document: dict[str, Any] | None = None
        self._page: str | None = None

    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self._document is None:
            self._document = document([(one.blueprint.name, one.operations) for one in self._apis], VERSION)
        return self._document

    def page(self) -> str:
        """The same as HTML."""
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
    """This document: OpenAPI 3.1."""
    return _cached(to_json(_description().document()) + b"\n", "application/json")


@api.get("/docs", public=True, media=_HTML)
def docs() -> Response:
    """This document as a page: every operation with its role, parameters, schemas and an example to paste."""
    return _cached(_description().page(), _HTML, **{"Content-Security-Policy": _DOCS_CSP})


@api.get("/docs/style.css", public=True, media=_CSS)
def style() -> Response:
    """How the page looks."""
    return _cached(_STYLE.read_bytes(), _CSS)
