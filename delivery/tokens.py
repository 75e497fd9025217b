"""OAuth 2 tokens: reads the answer of a token endpoint, and computes how long to use a token. No I/O, no clock."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from delivery.backoff import LONGEST_RETRY_AFTER
from domain.credentials import without
from domain.outcome import Answer, ErrorClass

REFRESH_AT = 0.75
"""Share of a token's lifetime after which a worker fetches a new token. It uses the old token meanwhile."""
_LONGEST_TOKEN = 16_384
_LONGEST_LIFE = 86_400.0 * 365
_LONGEST_TEXT = 200
_TRANSIENT = {408, 425, 429}
"""The 4xx statuses that do not mean that the credentials are wrong."""
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


class TokenPeriods(NamedTuple):
    """All values are in seconds."""

    life: float = 300.0
    """lifetime of a token if the endpoint does not send one"""
    assertion: float = 60.0
    """validity of a JWT that authenticates the client"""
    again: float = 1.0
    """minimum time between a failed refresh and the next one"""


class Token(NamedTuple):
    """A bearer token. Its times are in seconds on the clock of `now`."""

    value: str
    refresh_at: float
    expires_at: float


def token_of(answer: Answer, place: str, secrets: Iterable[str], now: float, default_life: float) -> Token | Answer:
    """Return the token in an answer of the token endpoint at `place` (RFC 6749 §5). If it contains none, return the
    answer for the deliveries that wait for a token, with `secrets` masked. A token without `expires_in` is used for
    `default_life` seconds."""
    if answer.error is not None:
        return _none(f"the request to {place} failed ({answer.reason})", answer)
    status = answer.status or 0
    content = _object(answer.body)
    if status // 100 != 2:
        said = _said(content, secrets)
        if status // 100 == 4 and status not in _TRANSIENT:
            detail = f"The token endpoint {place} refused the consumer's credentials: HTTP {status}{said}."
            return Answer(None, ErrorClass.TOKEN_REFUSED, detail, answer.seconds)
        redirected = "; redirects are not followed" if status // 100 == 3 else ""
        return _none(f"{place} answered HTTP {status}{said}{redirected}", answer)
    fault = _fault(content)
    if fault or content is None:
        return _none(f"{place} answered HTTP {status}, but {fault}", answer)
    life = _life(content.get("expires_in"), default_life)
    return Token(content["access_token"], now + life * REFRESH_AT, now + life)


def refreshed_later(token: Token, now: float, again: float) -> Token:
    """Return the token after a failed refresh, with its next refresh after a quarter of the remaining time, but at
    least `again` seconds."""
    return token._replace(refresh_at=now + max(again, (token.expires_at - now) / 4))


def _none(why: str, answer: Answer) -> Answer:
    after = None if answer.retry_after is None else min(answer.retry_after, LONGEST_RETRY_AFTER)
    return Answer(None, ErrorClass.TOKEN, f"No token: {why}.", answer.seconds, after)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _fault(content: dict[str, Any] | None) -> str:
    """Return why the content has no usable token, as the end of a sentence; empty if it has one."""
    if content is None:
        return "its body is not a JSON object"
    token, kind = content.get("access_token"), content.get("token_type", "Bearer")
    if not isinstance(token, str) or not token:
        return "it has no access_token"
    if len(token) > _LONGEST_TOKEN:
        return f"its access_token has more than {_LONGEST_TOKEN} characters"
    if not token.isascii() or not token.isprintable() or " " in token:
        return "its access_token is not printable ASCII without spaces"
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return "its token_type is not Bearer"
    return ""


def _life(given: Any, default: float) -> float:
    """Return the lifetime in seconds. Some servers send the number as text."""
    try:
        life = default if given is None or isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        life = default
    return min(max(life, 0.0), _LONGEST_LIFE) if math.isfinite(life) else default


def _said(content: dict[str, Any] | None, secrets: Iterable[str]) -> str:
    """Return `error` and `error_description` (RFC 6749 §5.2), with the request's secrets and all JWTs masked."""
    parts = [(content or {}).get(name) for name in ("error", "error_description")]
    text = ": ".join(part for part in parts if isinstance(part, str) and part)
    text = "".join(char if char.isprintable() else " " for char in _JWT.sub("…", without(text, secrets)))
    short = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
    return f", {short.rstrip('.')}" if short else ""
