"""The API describes itself: whole, truly, and for the open web neither secret nor script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_specifications import REGISTRY
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import APIS, create_app
from routes.api import Operation
from routes.errors import STATUSES
from routes.inputs import PageQuery
from routes.openapi import refusals_of
from routes.refusals import MEANINGS
from tests.api.client import Api
from tests.api.conftest import end, settings_for

OPERATIONS = [operation for routes in APIS for operation in routes.operations]
WORDS = {
    word
    for vocabulary in ("core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "content")
    for word in REGISTRY.contents(f"https://json-schema.org/draft/2020-12/meta/{vocabulary}")["properties"]
} | {"discriminator"}
"""The keywords of JSON Schema 2020-12, and those that OpenAPI 3.1 adds (https://spec.openapis.org/oas/v3.1.0#schema-object)."""
WITH_BODY = [operation for operation in OPERATIONS if operation.body is not None]


@pytest.fixture(scope="module")
def anybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A client without a login, of an app without broker and store."""
    app = create_app(settings_for(tmp_path_factory.mktemp("documentation")))
    yield Api(app)
    end(app)


@pytest.fixture(scope="module")
def document(anybody: Api) -> dict[str, Any]:
    answer = anybody("GET", "/openapi.json")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    content: dict[str, Any] = answer.json
    return content


def described(document: dict[str, Any], operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][operation.path][operation.method.lower()]
    return found


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_in_the_document_and_nothing_else(document: dict[str, Any]) -> None:
    there = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert there == {(one.method, one.path) for one in OPERATIONS}


def test_every_route_says_who_may_call_it(document: dict[str, Any]) -> None:
    for one in OPERATIONS:
        said = described(document, one)
        assert said.get("x-required-role") == one.role, named(one)
        assert said["security"] == ([{"token": []}] if one.role else []), named(one)
        assert ("401" in said["responses"]) or one.role is None, named(one)


def test_every_route_has_a_name_a_sentence_and_typed_answers(document: dict[str, Any]) -> None:
    names = [described(document, one)["operationId"] for one in OPERATIONS]
    assert len(set(names)) == len(names)
    for one in OPERATIONS:
        said = described(document, one)
        assert said["summary"], named(one)
        assert said["description"], named(one)
        assert one.answer is not None or one.media != "application/json", f"{named(one)} has no answer model"
        for status in one.statuses:
            answer = said["responses"][str(status)]
            assert ("X-Total-Count" in answer["headers"]) is (
                one.query is not None and issubclass(one.query, PageQuery)
            )


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_the_example_of_every_body_is_accepted(document: dict[str, Any], operation: Operation) -> None:
    said = described(document, operation)
    if operation.method == "DELETE":
        example = {one["name"]: one["example"] for one in said["parameters"] if "example" in one}
    else:
        example = said["requestBody"]["content"]["application/json"]["example"]
    assert operation.body is not None
    assert example
    operation.body.model_validate(example, by_alias=True, by_name=False)


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    referred = set(re.findall(r"#/components/schemas/([^'\"]+)", str(document)))
    assert referred == set(schemas)


def test_schemas_say_nothing_that_is_no_word_of_json_schema(document: dict[str, Any]) -> None:
    """A validator passes over words that it does not know, and so does a generated client: a limit would be lost."""
    found = [*document["components"]["schemas"].values(), *roots(document["paths"])]
    assert {word for schema in found for inner in nested(schema) for word in inner} <= WORDS


def roots(part: Any) -> Iterator[dict[str, Any]]:
    """The schemas of parameters, bodies and answers."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    if isinstance(part, dict):
        for name, inner in part.items():
            yield from [inner] if name == "schema" else roots(inner)


def nested(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and those inside it."""
    yield schema
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for one in inner + schema.get("anyOf", []) + schema.get("oneOf", []) + schema.get("allOf", []):
        if isinstance(one, dict):
            yield from nested(one)


def test_every_refusal_of_the_service_is_documented() -> None:
    documented = {refusal for one in OPERATIONS for refusal in refusals_of(one)}
    assert set(STATUSES.values()) | {500} == set(MEANINGS) == {int(refusal[:3]) for refusal in documented}


def test_an_operation_documents_only_its_own_errors(document: dict[str, Any]) -> None:
    responses = document["paths"]["/getQueue"]["get"]["responses"]
    assert set(responses) == {"200", "400", "401", "403", "404", "500", "503"}
    missing = document["components"]["responses"][responses["404"]["$ref"].rpartition("/")[2]]
    assert "Codes: `queue_not_found`." in missing["description"]
    assert missing["content"]["application/problem+json"]["example"]["code"] == "queue_not_found"
    assert "503" not in document["paths"]["/health/live"]["get"]["responses"]
    assert "504" in document["paths"]["/messagePublish"]["post"]["responses"]


def test_the_openapi_document_may_be_cached(anybody: Api) -> None:
    assert anybody("GET", "/openapi.json").headers["Cache-Control"] == "public, max-age=300"
