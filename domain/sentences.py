"""Turns pydantic's validation errors into sentences that tell a client what to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails

from domain.moment import AS_IN

M = TypeVar("M", bound=BaseModel)
Place = Sequence[int | str]

_MOST = 20
"""Maximum number of faults in an answer; a batch of 10,000 messages may have one in each."""

_KINDS = {
    "must be a string": ("string_type",),
    "must be true or false": ("bool_type", "bool_parsing"),
    "must be a whole number": ("int_type", "int_parsing", "int_from_float"),
    "must be a number": ("float_type", "float_parsing"),
    "must be a JSON object": ("dict_type", "model_type", "model_attributes_type"),
    "must be an array": ("tuple_type", "list_type"),
    AS_IN: ("timezone_aware", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"),
    "is required": ("missing",),
    "must match the pattern {pattern}": ("string_pattern_mismatch",),
    "must have a {discriminator} of {expected_tags}": ("union_tag_invalid",),
    "must have {discriminator}": ("union_tag_not_found",),
}
_SENTENCES = {kind: sentence for sentence, kinds in _KINDS.items() for kind in kinds}


def faults(model: type[BaseModel], refused: ValidationError) -> tuple[list[tuple[Place, str]], int]:
    """Return the first faults, each with its place and a sentence, and the number of all faults. The sentences exclude
    the client's values, because these may be secrets."""
    found = refused.errors(include_url=False, include_input=False)
    wrong = {error["loc"] for error in found}
    # pydantic also reports an array with invalid items as too short, which would mislead.
    told = [one for one in found if one["type"] != "too_short" or not any(_inside(loc, one["loc"]) for loc in wrong)]
    return [(error["loc"], _sentence(model, error)) for error in told[:_MOST]], len(told)


def dotted(place: Place) -> str:
    """Return a place as one dotted name, such as `messages.0.queueName`."""
    return ".".join(_short(str(part)) for part in place)


def field_faults(model: type[BaseModel], refused: ValidationError) -> list[tuple[str, str]]:
    """Return the first faults, each with the dotted name of its field and a sentence."""
    return [(dotted(place), sentence) for place, sentence in faults(model, refused)[0]]


def joined(wrong: Sequence[tuple[str, str]]) -> str:
    """Return the first three faults as one sentence. A fault is a place (empty: the whole body) and a sentence."""
    return "; ".join(f"{place}: {sentence}" if place else sentence for place, sentence in wrong[:3])


def object_of(model: type[M], value: Mapping[str, Any]) -> M:
    """Return a JSON object as a model. Raises ValueError with the faults of its fields."""
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise ValueError(joined(field_faults(model, exc))) from None


def alternatives(shapes: str) -> WrapValidator:
    """Return a validator of a union, whose error is one sentence: pydantic reports one for each member."""

    def validate(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validated(value)
        except ValidationError:
            raise ValueError(f"must be {shapes}") from None

    return WrapValidator(validate)


def _inside(loc: Place, other: Place) -> bool:
    return len(loc) > len(other) and loc[: len(other)] == other


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}…"


def _sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    kind, limits = error["type"], error.get("ctx", {})
    if sentence := _SENTENCES.get(kind):
        return sentence.format(**limits)
    if kind == "extra_forbidden":
        meant, known = _meant(model, error["loc"])
        return f"unknown field; did you mean {meant!r}?" if meant else f"unknown field; allowed: {', '.join(known)}"
    if kind in {"string_too_short", "too_short"}:
        return f"must have at least {limits['min_length']} {_counted(limits, 'min_length')}"
    if kind in {"string_too_long", "too_long"}:
        return f"must have at most {limits['max_length']} {_counted(limits, 'max_length')}"
    return error["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)


def _counted(limits: Mapping[str, Any], limit: str) -> str:
    noun = "item" if limits.get("field_type") in {"Tuple", "List", "Dictionary"} else "character"
    return noun if limits[limit] == 1 else f"{noun}s"


def _meant(model: type[BaseModel], loc: Place) -> tuple[str | None, list[str]]:
    """Return the field that was probably meant by an unknown one, and the known fields of its object: the field of this
    name one level deeper, otherwise one with a similar name. The names are those in JSON."""
    name, fields = str(loc[-1])[:60], _fields_at(model, loc[:-1])
    deeper = (outer for outer, type_ in fields.items() for one in _models_in(type_) if name in _fields_at(one, ()))
    if outer := next(deeper, None):
        return f"{outer}.{name}", list(fields)
    return next(iter(get_close_matches(name, fields, n=1)), None), list(fields)


def _fields_at(model: type[BaseModel], loc: Place) -> dict[str, Any]:
    """Return the types of the fields at `loc` by their names in JSON, as far as the annotations of the model tell."""
    here: Any = model
    for part in loc:
        if isinstance(part, str) and _is_model(here):
            by_alias = {field.alias: field.annotation for field in here.model_fields.values()}
            here = by_alias.get(part, here)
        here = next((model for model in _models_in(here)), here)
    fields = here.model_fields if _is_model(here) else {}
    return {field.alias or name: field.annotation for name, field in fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if _is_model(annotation):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
