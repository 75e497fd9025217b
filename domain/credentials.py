"""Masks the credentials of a consumer, restores masked ones in a change, and keeps them from going to another origin.

A user who may change a consumer need not know its credentials, so a change of the URL must not send them to a host of
that user's choice.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from domain.auth import Auth, BasicAuth
from domain.consumer import ConsumerSpec
from domain.model import MASK
from domain.url_template import UrlTemplate

HARMLESS_HEADERS = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "api-version", "cache-control",
    "content-disposition", "content-encoding", "content-language", "content-type", "pragma", "prefer", "priority",
    "user-agent", "x-api-version", "x-env", "x-environment", "x-requested-with", "x-source",
})  # fmt: skip
"""Headers whose values are shown. Any other may hold a credential: no pattern matches every name that people use."""

_PARTS = re.compile(r"[^/?#]*//(?:(?P<user>[^/?#]*)@)?[^/?#]*(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?")
"""A URL by RFC 3986, appendix B. The last `@` of the authority ends the user info."""
_TOKEN = re.compile(rf"(?<=/)(?:{re.escape(MASK)}|(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[^/{{}}]{{16,}})(?=/|$)")
"""A path segment that looks like a token in webhook URLs of Slack, Discord or Telegram: long, with letters and
digits."""
_QUERY_PART = re.compile(r"(?P<name>[^&=]*=)?(?P<value>[^&]*)")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_SHORTEST_REDACTED = 6
"""Characters. Shorter values occur in ordinary text."""


def origin(url: str) -> str:
    """Return scheme, host and port of `url` (RFC 6454 §6.2), or `url` itself if it is not a valid URL."""
    try:
        return UrlTemplate(url).target.origin
    except ValueError:
        return url


def masked_url(url: str) -> str:
    """Return `url` with its user info, tokens in its path and query values masked, except placeholders."""
    for _, start, end in reversed(list(_secrets_in(url))):
        url = url[:start] + MASK + url[end:]
    return url


def unmasked_url(url: str, before: str) -> str:
    """Return `url` with its masked parts restored from `before`, if both have the same origin; else `url` unchanged."""
    if origin(url) != origin(before):
        return url
    known: dict[str, list[str]] = defaultdict(list)
    for name, start, end in _secrets_in(before):
        known[name].append(before[start:end])
    values = [(start, end, known[name].pop(0) if known[name] else MASK) for name, start, end in _secrets_in(url)]
    for start, end, value in reversed(values):
        if url[start:end] == MASK:
            url = url[:start] + value + url[end:]
    return url


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with all values masked except those of HARMLESS_HEADERS."""
    return {name: value if _harmless(name) else MASK for name, value in headers.items()}


def masked_auth(auth: Auth | None) -> Auth | None:
    """Return `auth` with the user name masked if the password is empty: the user name is the credential then, as with
    Stripe's keys. Passwords and tokens mask themselves."""
    if isinstance(auth, BasicAuth) and not auth.password.get_secret_value():
        return auth.model_copy(update={"username": MASK})
    return auth


def redacted(text: str, spec: ConsumerSpec) -> str:
    """Return `text`, sent by a target, with every credential of `spec` in it masked."""
    secrets = [spec.url[start:end] for _, start, end in _secrets_in(spec.url)]
    secrets += [value.strip() for name, value in spec.headers.items() if not _harmless(name)]
    for credentials in filter(None, (spec.auth, spec.tls)):
        secrets += credentials.secrets()
    return without(text, secrets)


def without(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with each of the secrets masked, percent-encoded or not, and the first part of one with which the
    text ends: it may have been cut there."""
    forms = {
        form for secret in secrets for form in (secret, unquote(secret), quote(secret, safe=""), quote_plus(secret))
    }
    for secret in sorted(forms, key=len, reverse=True):
        if len(secret) < _SHORTEST_REDACTED:
            continue
        text = text.replace(secret, MASK)
        if secret[:_SHORTEST_REDACTED] not in text:
            continue
        for length in range(min(len(secret) - 1, len(text)), _SHORTEST_REDACTED - 1, -1):
            if text.endswith(secret[:length]):
                text = text[:-length] + MASK
                break
    return text


def left_masked(spec: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields in a stored spec whose value is still the mask."""
    url: str = spec["url"]
    in_url = any(MASK in url[start:end] for _, start, end in _secrets_in(url))
    groups = {name: spec.get(name) or {} for name in ("auth", "tls", "headers")}
    groups["auth.params"] = groups["auth"].get("params", {})
    hidden = [f"{group}.{name}" for group, fields in groups.items() for name, value in fields.items() if value == MASK]
    return [*(["url"] if in_url else []), *hidden]


def carried_along(before: ConsumerSpec, after: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the fields of `after` whose credentials the change would send to another origin, or to another token URL,
    without giving them again.

    `after` is the stored form of the changed spec, `given` are the client's changes.
    """
    moved = origin(before.url) != origin(after["url"])
    carried = ["auth"] if after["auth"] and (moved or _other_token_url(before, after)) and _hides(given, "auth") else []
    if not moved:
        return carried
    if (after.get("tls") or {}).get("key") and _hides(given, "tls"):
        carried.append("tls")
    headers = given.get("headers") or {}
    for name, value in after["headers"].items():
        if not _harmless(name) and value == before.headers.get(name) and headers.get(name) in (None, MASK):
            carried.append(f"headers.{name}")
    return carried


def _other_token_url(before: ConsumerSpec, after: Mapping[str, Any]) -> bool:
    return before.auth is not None and getattr(before.auth, "token_url", None) != after["auth"].get("tokenUrl")


def _hides(given: Mapping[str, Any], field: str) -> bool:
    """Whether a change leaves secrets of `field` as they are, by its mask or by not naming it."""
    fields = given.get(field) or {}
    return not fields or MASK in fields.values() or MASK in (fields.get("params") or {}).values()


def _harmless(header: str) -> bool:
    return header.lower() in HARMLESS_HEADERS


def _secrets_in(url: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of each part of `url` that may be a credential, in the URL's order. The name of the
    user info is `@`, that of a path segment is `/`; that of a query value ends in `=`, or is empty without a name."""
    parts = _PARTS.match(url)
    if parts is None:
        return
    if parts["user"]:
        yield "@", *parts.span("user")
    for segment in _TOKEN.finditer(url, *parts.span("path")):
        yield "/", *segment.span()
    for part in _QUERY_PART.finditer(url, *parts.span("query")) if parts["query"] else ():
        if part["value"] and not _PLACEHOLDER.fullmatch(part["value"]):
            yield part["name"] or "", *part.span("value")
