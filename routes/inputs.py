"""What a client sends, made into models or refused with a sentence. Values are never echoed: they may be secrets."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, from_json

from domain.errors import Invalid
from domain.model import Model
from routes.body import read

M = TypeVar("M", bound=Model)

MAX_PAGE_SIZE = 500


class Query(Model):
    """Base of query parameters: text, so types are converted; unknown parameters are refused all the same."""

    model_config = ConfigDict(strict=False)


class PageQuery(Query):
    """Base of the parameters of every list."""

    page: int = Field(1, ge=1, le=1_000_000, description="counted from 1")
    page_size: int = Field(100, ge=1, le=MAX_PAGE_SIZE, description="items a page")
    fields: str = Field("", max_length=1000, description="the fields to show, with commas between them; empty: all")


NDJSON = "application/x-ndjson"  # one JSON value a line


def read_body(model: type[M], lines: str | None = None) -> M:
    """The request's JSON object as a model; no body counts as `{}`. Where `lines` names a field, an NDJSON body is
    taken too, for a list in that field. Raises Invalid and what `read` raises."""
    raw = read() if lines is None else read(("application/json", NDJSON))
    if lines is not None and request.mimetype == NDJSON:
        parts = enumerate(raw.split(b"\n"), 1)
        return _validated(model, {lines: [_json(part, f"Line {number}") for number, part in parts if part.strip()]})
    content = _json(raw or b"{}", "The body")
    if not isinstance(content, dict):
        raise Invalid('The body must be a JSON object, as in {"queueName": "orders"}.', code="malformed_json")
    return _validated(model, content)


def _json(raw: bytes, what: str) -> Any:
    try:
        # Depth is limited to 200 in there, which is also what every JSON writer of ours can take.
        return from_json(raw, allow_inf_nan=False)
    except ValueError as exc:
        raise Invalid(f"{what} is not valid JSON: {exc}.", code="malformed_json") from None


Q = TypeVar("Q", bound=Query)


def read_query(model: type[Q]) -> Q:
    """The query string as a model. Raises Invalid."""
    parameters = request.args
    for name, values in parameters.lists():
        if len(values) > 1:
            raise Invalid(f"The query parameter {_short(name)!r} is given {len(values)} times. Give it once.")
    return _validated(model, parameters.to_dict())


def _validated(model: type[M], content: dict[str, Any]) -> M:
    try:
        return model.model_validate(content, by_alias=True, by_name=False)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False)
        fields = [(_path(error["loc"]), _sentence(model, error)) for error in errors[:20]]
        detail = "; ".join(f"{name}: {sentence}" if name else sentence for name, sentence in fields[:3])
        more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
        raise Invalid(detail + more, fields=fields) from None


def _path(loc: Sequence[int | str]) -> str:
    return ".".join(_short(str(part)) for part in loc)


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}…"


def _sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    if error["type"] == "extra_forbidden":
        known = _known_fields(model, error["loc"][:-1])
        close = get_close_matches(str(error["loc"][-1])[:60], known, n=1)
        return f"is not known; did you mean {close[0]!r}?" if close else f"is not known; known are {', '.join(known)}"
    if error["type"] == "missing":
        return "is required"
    return error["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)


def _known_fields(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The JSON names of the object that `loc` leads to, as well as the annotations tell."""
    here: Any = model
    for part in loc:
        if isinstance(part, str) and _is_model(here):
            by_alias = {field.alias: field.annotation for field in here.model_fields.values()}
            here = by_alias.get(part, here)
        here = next((model for model in _models_in(here)), here)
    return [field.alias or name for name, field in here.model_fields.items()] if _is_model(here) else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if _is_model(annotation):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
