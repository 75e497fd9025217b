"""Keeps the text of each `message` in a body as the client wrote it. Parsing and serialising it would change numbers,
duplicate names and whitespace. msgspec finds the start and end of the value."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import msgspec

from domain.model import Model
from domain.publication import AnyJson, JsonText


class _One(msgspec.Struct):
    message: msgspec.Raw = msgspec.Raw()


class _Body(_One):
    messages: list[_One] | None = None


_decode = msgspec.json.Decoder(_Body).decode


@cache
def takes_json_text(model: type[Model]) -> bool:
    """Return whether the model, or each of its `messages`, has a `message` of any JSON type."""
    field = model.model_fields.get("message")
    return field is not None and AnyJson in get_args(field.annotation)


def keep_json_text(content: Any, raw: bytes) -> None:
    """Replace each `message` in `content` by its JsonText from `raw`, unless it is a string or null. `content` is the
    parsed `raw`."""
    if not isinstance(content, dict):
        return
    items = content.get("messages")
    items = items if isinstance(items, list) else []
    if not any(_is_json(one) for one in (content, *items)):
        return
    try:
        texts = _decode(raw)
    except msgspec.ValidationError:  # an item of `messages` is not an object; the model reports it
        return
    for item, text in zip((content, *items), (texts, *(texts.messages or ())), strict=False):
        if _is_json(item):
            item["message"] = JsonText(text.message)


def _is_json(item: Any) -> bool:
    return isinstance(item, dict) and not isinstance(item.get("message"), str | None)
