"""Finds the sentence in a target's answer that tells a person why it refused a message."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from domain.outcome import Answer

MAX_LENGTH = 200

_FIELDS = ("detail", "message", "error_description", "error", "title", "reason")
"""Fields of JSON errors that hold a sentence, the most specific first (RFC 9457 §3.1, RFC 6749 §5.2)."""

_UNFIT = re.compile(r"authorization|bearer|basic |cookie|password|secret|token|api.?key|[^\x20-\x7e\x80-\uffff]", re.I)
"""Words of credentials, which a target may echo, and control characters."""


def sentence_of(answer: Answer) -> str | None:
    """Return the error text of a JSON answer, or a short text; None for any other answer.

    A target may echo the request, so a text that mentions credentials is not returned either.
    """
    for text in _candidates(answer.body):
        sentence = " ".join(text.split())
        if sentence and not _UNFIT.search(sentence):
            return sentence[:MAX_LENGTH]
    return None


def _candidates(body: bytes) -> Iterator[str]:
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        if len(body) <= MAX_LENGTH and not body.lstrip().startswith((b"<", b"{", b"[")):
            yield body.decode(errors="replace")
        return
    if not isinstance(content, dict):
        return
    inner = content.get("error")  # {"error": {"message": …}}, as many APIs answer
    for fields in (content, inner if isinstance(inner, dict) else {}):
        yield from (value for name in _FIELDS if isinstance(value := fields.get(name), str))
