"""Credentials in what clients send of consumers: hidden ones stay what they are, but do not follow to another place.

Who may change a consumer need not know its credentials, so a change must not send them where that person likes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from domain.consumer import Auth, BasicAuth, ConsumerSpec
from domain.url_template import UrlTemplate

MASK = "**********"
"""Stands for what is never shown, as SecretStr shows itself. Sent back in a change it means: leave it as it is."""

HARMLESS_HEADERS = frozenset({
    "accept", "accept-charset", "accept-encoding", "accept-language", "api-version", "cache-control",
    "content-disposition", "content-encoding", "content-language", "content-type", "pragma", "prefer", "priority",
    "user-agent", "x-api-version", "x-env", "x-environment", "x-requested-with", "x-source",
})  # fmt: skip
"""The headers whose values are shown. Any other may hold a credential: no pattern finds all names that people give."""

_PARTS = re.compile(r"[^/?#]*//(?:(?P<user>[^/?#]*)@)?[^/?#]*(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?")
"""A URL by RFC 3986, appendix B. The last `@` of the authority ends the user info."""
_TOKEN = re.compile(rf"(?<=/)(?:{re.escape(MASK)}|(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[^/{{}}]{{16,}})(?=/|$)")
"""A segment of a path that looks like the tokens in the webhook URLs of Slack, Discord or Telegram: long, with letters
and digits."""
_QUERY_PART = re.compile(r"(?P<name>[^&=]*=)?(?P<value>[^&]*)")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_SHORTEST_REDACTED = 6
"""Characters. Shorter values occur in ordinary text."""


def origin(url: str) -> str:
    """Return scheme, host and port of `url` (RFC 6454 §6.2); what is no URL comes back as it is."""
    try:
        return UrlTemplate(url).target.origin
    except ValueError:
        return url


def masked_url(url: str) -> str:
    """Return `url` with its user info, tokens in its path and the values of its query masked, except placeholders."""
    for _, start, end in reversed(list(_secrets_in(url))):
        url = url[:start] + MASK + url[end:]
    return url


def unmasked_url(url: str, before: str) -> str:
    """Return `url` with what is masked in it as it is in `before`, if both have the same origin."""
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
    """Return the headers with the values of all but the harmless ones masked."""
    return {name: value if _harmless(name) else MASK for name, value in headers.items()}


def masked_auth(auth: Auth | None) -> Auth | None:
    """Return `auth` without a user name that is the credential itself, as Stripe's keys are: it has no password.
    Passwords and tokens mask themselves."""
    if isinstance(auth, BasicAuth) and not auth.password.get_secret_value():
        return auth.model_copy(update={"username": MASK})
    return auth


def redacted(text: str, spec: ConsumerSpec) -> str:
    """Return `text`, which a target has sent, without the credentials of `spec` that it repeats."""
    secrets = [spec.url[start:end] for _, start, end in _secrets_in(spec.url)]
    secrets += [value.strip() for name, value in spec.headers.items() if not _harmless(name)]
    if spec.auth is not None:
        revealed = spec.auth.revealed()
        secrets += [revealed[name] for name in ("password", "token") if name in revealed]
        secrets.append(b64encode(f"{revealed.get('username')}:{revealed.get('password')}".encode()).decode())
    for secret in sorted({*secrets, *map(unquote, secrets)}, key=len, reverse=True):
        if len(secret) >= _SHORTEST_REDACTED:
            text = text.replace(secret, MASK)
    return text


def left_masked(spec: Mapping[str, Any]) -> list[str]:
    """Return the fields of a stored spec that hold nothing but the mask."""
    url: str = spec["url"]
    in_url = any(MASK in url[start:end] for _, start, end in _secrets_in(url))
    auth = [f"auth.{name}" for name, value in (spec["auth"] or {}).items() if value == MASK]
    headers = [f"headers.{name}" for name, value in spec["headers"].items() if value == MASK]
    return [*(["url"] if in_url else []), *auth, *headers]


def carried_along(before: ConsumerSpec, after: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the credentials that a change would send to another origin though whoever makes it has not given them:
    fields of `after`, the stored form of what the spec is to be."""
    if origin(before.url) == origin(after["url"]):
        return []
    auth, headers = given.get("auth"), given.get("headers") or {}
    carried = [] if not after["auth"] or (auth and MASK not in auth.values()) else ["auth"]
    for name, value in after["headers"].items():
        if not _harmless(name) and value == before.headers.get(name) and headers.get(name) in (None, MASK):
            carried.append(f"headers.{name}")
    return carried


def _harmless(header: str) -> bool:
    return header.lower() in HARMLESS_HEADERS


def _secrets_in(url: str) -> Iterator[tuple[str, int, int]]:
    """Yield each part of `url` that may be a credential, in its order: its name, where it begins, and where it ends.
    The name of user info is `@`, that of a segment of the path `/`, that of a query value ends in `=`; a query value
    without a name has an empty one."""
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
