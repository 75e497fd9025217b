"""Validates clients' input and converts it to models. Errors never contain the values: they may be secrets."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from flask import request
from pydantic import Field, ValidationError
from pydantic_core import from_json

from domain.errors import Invalid
from domain.model import Model
from domain.sentences import dotted, faults, joined
from routes.body import read
from routes.json_text import keep_json_text, takes_json_text

M = TypeVar("M", bound=Model)

MAX_PAGE_SIZE = 500


class PageQuery(Model):
    """Base of the parameters of lists."""

    page: int = Field(1, ge=1, le=1_000_000, description="page number, from 1")
    page_size: int = Field(100, ge=1, le=MAX_PAGE_SIZE, description="items per page")
    fields: str = Field("", max_length=1000, description="fields to return, separated by commas; empty: all")

    def only(self) -> list[str]:
        """Return the requested fields; empty for all."""
        return self.fields.split(",") if self.fields else []

    def check_fields(self, known: Sequence[str]) -> None:
        """Raise Invalid if `fields` has a name that is not in `known`."""
        if unknown := [name for name in self.only() if name not in known]:
            raise Invalid.at("fields", f"{unknown[0][:60]!r} is an unknown field. Allowed: {', '.join(known)}")


NDJSON = "application/x-ndjson"  # one JSON value per line


def read_body(model: type[M], lines: str | None = None) -> M:
    """Return the request's JSON object as a model; an empty body means `{}`. If `lines` names a field, an NDJSON body
    is accepted as the list of that field. Raises Invalid and the errors of `read`."""
    raw = read() if lines is None else read(("application/json", NDJSON))
    if raw.startswith(codecs.BOM_UTF8):  # RFC 8259 §8.1 allows to ignore it, and Windows programs write it
        raw = raw[len(codecs.BOM_UTF8) :]
    verbatim = takes_json_text(model)
    if lines is not None and request.content_type != "application/json" and request.mimetype == NDJSON:
        parts = [(number, part) for number, part in enumerate(raw.split(b"\n"), 1) if part.strip()]
        items = [_json(part, f"Line {number}") for number, part in parts]
        if verbatim:
            for item, (_, part) in zip(items, parts, strict=True):
                keep_json_text(item, part)
        content = {lines: items}
        return _validated(model, content, [number for number, _ in parts])
    content = _json(raw or b"{}", "The body")
    if not isinstance(content, dict):
        raise Invalid('The body must be a JSON object, such as {"queueName": "orders"}.', code="malformed_json")
    if verbatim:
        keep_json_text(content, raw)
    return _validated(model, content)


def _json(raw: bytes, what: str) -> Any:
    try:
        # from_json limits the depth to 200, which all our JSON writers support.
        return from_json(raw, allow_inf_nan=False)
    except ValueError as exc:
        reason = str(exc)
    try:
        raw.decode()
    except UnicodeDecodeError as exc:
        sentence = f"{what} is not valid UTF-8 at byte {exc.start + 1}. Encode it in UTF-8."
    else:
        place = re.sub("at line 1 column", "at column", reason) if what.startswith("Line") else reason
        sentence = f"{what} is not valid JSON: {place}."
    raise Invalid(sentence, code="malformed_json")


def read_query_or_body(model: type[M]) -> M:
    """Return the query string as a model or, without one, the body: proxies and clients may drop the body of a DELETE
    (RFC 9110 §9.3.5). Raises Invalid and the errors of `read`."""
    if not request.args:
        return read_body(model)
    if read():
        raise Invalid("Send the parameters either in the query or in the body, not in both.")
    return read_query(model)


def read_query(model: type[M]) -> M:
    """Return the query string as a model, with its text converted to the fields' types. Raises Invalid."""
    parameters = request.args
    for name, values in parameters.lists():
        if len(values) > 1:
            raise Invalid(f"The query parameter {dotted([name])!r} occurs {len(values)} times. Send it once.")
    return _validated(model, parameters.to_dict(), strict=False)


def _validated(model: type[M], content: dict[str, Any], lines: Sequence[int] = (), *, strict: bool | None = None) -> M:
    """Return `content` as a model. `lines` are the line numbers of its items, if it is NDJSON. Raises Invalid."""
    try:
        return model.model_validate(content, by_alias=True, by_name=False, strict=strict)
    except ValidationError as exc:
        found, count = faults(model, exc)
    told = [(dotted(place), _at_line(place, lines), sentence) for place, sentence in found]
    detail = joined([(line or field, sentence) for field, line, sentence in told])
    more = f"; and {count - 3} more" if count > 3 else ""
    raise Invalid(detail + more, fields=[(field, sentence) for field, _, sentence in told])


def _at_line(place: Sequence[int | str], lines: Sequence[int]) -> str:
    """Return the place by line number, such as `Line 3: properties.priority`, or nothing if the input is not NDJSON."""
    if not lines or len(place) < 2:
        return ""
    inside = dotted(place[2:])
    return f"Line {lines[int(place[1])]}" + (f": {inside}" if inside else "")
