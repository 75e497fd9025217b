"""The API's description for programs: GET /openapi.json, and GET /postman.json made from it. It is public, and contains
no secret."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

from flask import Response, current_app, request
from pydantic_core import to_json

from routes.api import Api, Reply
from routes.openapi import document
from routes.postman import collection
from runtime.version import VERSION

api = Api("documentation")

_CACHING = {"Cache-Control": "public, max-age=300"}  # seconds; the content changes only with the release


class Description:
    """The OpenAPI document, built at its first use. If two threads build it at the same time, the results are equal."""

    def __init__(self, apis: list[Api]) -> None:
        self._apis = apis

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        return document([(one.blueprint.name, one.operations) for one in self._apis], VERSION)

    @cached_property
    def json(self) -> bytes:
        """The document as JSON, because anybody may request it often."""
        return to_json(self.document) + b"\n"


def _description() -> Description:
    return cast("Description", current_app.extensions["description"])


@api.get("/openapi.json", public=True, answer=dict[str, Any])
def openapi() -> Response:
    """Get the OpenAPI 3.1 document of this API."""
    return Response(_description().json, headers=_CACHING, content_type="application/json")


@api.get("/postman.json", public=True)
def postman() -> Reply[dict[str, Any]]:
    """Get this API as a Postman collection, with a tour. Its `baseUrl` is the URL of your request without the path."""
    return Reply(collection(_description().document, request.url_root.rstrip("/")))
