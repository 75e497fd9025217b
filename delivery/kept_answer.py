"""Decides which parts of a target's answer to a failed attempt are kept, by the consumer's attempt policy: the body and
some headers in the attempt log, the body's sentence and the same headers in the dead letter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import orjson

from domain.attempt_policy import AttemptPolicy
from domain.consumer import ConsumerSpec
from domain.credentials import masked_url, redacted
from domain.model import MASK
from domain.outcome import Answer

KEPT = 4096
"""Bytes of a body."""
MAX_SENTENCE = 200
"""Characters."""
KEPT_HEADERS = frozenset({
    "content-type", "retry-after", "server", "location", "www-authenticate", "request-id", "x-request-id",
    "x-correlation-id", "traceparent", "cf-ray", "x-amzn-requestid",
})  # fmt: skip
"""Headers that tell who answered, why, and under which id the target's own logs have the request."""
_MAX_HEADER = 200
"""Characters of a header's value."""
_FREE_TEXTS = frozenset({"location", "www-authenticate"})
"""Headers that may repeat parts of the message."""
_TOKEN = re.compile(r"[A-Za-z0-9+/._~-]{24,}=*")
"""A token68 (RFC 9110 §11.2) that is long enough to be a credential."""

_FIELDS = ("detail", "message", "error_description", "error", "title", "reason")
"""Fields of JSON errors that hold a sentence, the most specific first (RFC 9457 §3.1, RFC 6749 §5.2)."""

_UNFIT = re.compile(r"authorization|bearer|basic |cookie|password|secret|token|api.?key|[^\x20-\x7e\x80-\uffff]", re.I)
"""Words of credentials, which a target may echo, and control characters."""
_CONTROL = re.compile(r"[^\x20-\x7e\x80-\uffff]")


def kept_body(body: bytes, spec: ConsumerSpec) -> str | None:
    """Return the start of an answer's body as text, with the consumer's credentials masked, as far as its attempt
    policy permits; None if there is none to keep."""
    text = _permitted(body[:KEPT], spec.attempt_log)
    return None if text is None else redacted(text, spec)


def answer_headers(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the KEPT_HEADERS among an answer's headers, by their name in lower case, without control characters. Of
    equal names, return the last. The values are cut."""
    found: dict[str, str] = {}
    for name, value in fields:
        if (known := name.decode(errors="replace").lower()) in KEPT_HEADERS:
            found[known] = _CONTROL.sub("", value.decode(errors="replace")).strip()[:_MAX_HEADER]
    return found


def kept_headers(answer: Answer, spec: ConsumerSpec) -> dict[str, str]:
    """Return the headers to keep of an answer as far as the consumer's attempt policy permits, with credentials masked:
    the consumer's own, and any in a URL or a challenge."""
    bodies = spec.attempt_log.bodies
    if bodies == "none":
        return {}
    kept = {name: value for name, value in answer.headers if not (bodies == "redacted" and name in _FREE_TEXTS)}
    for name, masked in (("location", masked_url), ("www-authenticate", partial(_TOKEN.sub, MASK))):
        if name in kept:
            kept[name] = masked(kept[name])
    return {name: redacted(value, spec) for name, value in kept.items() if value}


def kept_sentence(body: bytes, spec: ConsumerSpec) -> str | None:
    """Return the sentence in `kept_body` that tells a person why the target refused a message: the error text of a JSON
    answer, or a short text; None for any other answer.

    A target may echo the request, so a text that mentions credentials is not returned either."""
    for text in _candidates(kept_body(body, spec) or ""):
        sentence = " ".join(text.split())
        if sentence not in ("", MASK) and not _UNFIT.search(sentence):
            return sentence[:MAX_SENTENCE]
    return None


def _permitted(body: bytes, policy: AttemptPolicy) -> str | None:
    if not body.strip() or policy.bodies == "none":
        return None
    if policy.bodies == "full":
        return body.decode(errors="replace")
    try:
        content = orjson.loads(body)
    except ValueError:  # it is not JSON, or it was cut off
        return None
    for path in policy.redact:
        _mask(content, path.split("."))
    return orjson.dumps(content).decode()


def _mask(content: Any, path: list[str]) -> None:
    """Replace the value at a path, if there is one."""
    for step in path[:-1]:
        content = _member(content, step)
    last = path[-1]
    if isinstance(content, dict) and last in content:
        content[last] = MASK
    elif isinstance(content, list) and last.isdecimal() and int(last) < len(content):
        content[int(last)] = MASK


def _member(content: Any, step: str) -> Any:
    if isinstance(content, dict):
        return content.get(step)
    if isinstance(content, list) and step.isdecimal() and int(step) < len(content):
        return content[int(step)]
    return None


def _candidates(text: str) -> Iterator[str]:
    try:
        content: Any = orjson.loads(text)
    except ValueError:
        if len(text) <= MAX_SENTENCE and not text.lstrip().startswith(("<", "{", "[")):
            yield text
        return
    if not isinstance(content, dict):
        return
    inner = content.get("error")  # {"error": {"message": …}}, as many APIs answer
    for fields in (content, inner if isinstance(inner, dict) else {}):
        yield from (value for name in _FIELDS if isinstance(value := fields.get(name), str))
