"""Credentials in what clients send of consumers: hidden ones stay what they are, but do not follow to another place.

Who may change a consumer need not know its credentials, so a change must not send them where that person likes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from domain.consumer import ConsumerSpec

MASK = "**********"
"""Stands for what is never shown, as SecretStr shows itself. Sent back in a change it means: leave it as it is."""

_SECRET_HEADER = re.compile("auth|cookie|credential|key|passw|secret|session|signature|token", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(?<=://)(?P<user>[^/@:?#]*):(?P<password>[^/@]*)@")
_PORTS = {"http": 80, "https": 443}


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The same headers, with the values of those that look like credentials masked."""
    return {name: MASK if _SECRET_HEADER.search(name) else value for name, value in headers.items()}


def masked_url(url: str) -> str:
    """The same URL, with a password in it masked."""
    return _PASSWORD_IN_URL.sub(rf"\g<user>:{MASK}@", url)


def unmasked_url(url: str, before: str) -> str:
    """`url` with the password of `before` for a masked one, if it leads to the same place and names the same user."""
    mask, known = _PASSWORD_IN_URL.search(url), _PASSWORD_IN_URL.search(before)
    if not mask or not known or mask["password"] != MASK or mask["user"] != known["user"] or _moved(before, url):
        return url
    return url[: mask.start("password")] + known["password"] + url[mask.end("password") :]


def left_masked(spec: Mapping[str, Any]) -> list[str]:
    """The fields of a stored spec that are nothing but the mask."""
    url = _PASSWORD_IN_URL.search(spec["url"])
    auth = [f"auth.{name}" for name, value in (spec["auth"] or {}).items() if value == MASK]
    headers = [f"headers.{name}" for name, value in spec["headers"].items() if value == MASK]
    return [*(["url"] if url and url["password"] == MASK else []), *auth, *headers]


def carried_along(before: ConsumerSpec, after: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """The credentials that a change would send to another scheme, host or port though whoever makes it has not given
    them: fields of `after`, the stored form of what the spec is to be."""
    if not _moved(before.url, after["url"]):
        return []
    auth, headers = given.get("auth"), given.get("headers") or {}
    carried = [] if not after["auth"] or (auth and MASK not in auth.values()) else ["auth"]
    for name, value in after["headers"].items():
        if _SECRET_HEADER.search(name) and value == before.headers.get(name) and headers.get(name) in (None, MASK):
            carried.append(f"headers.{name}")
    return carried


def _moved(before: str, after: str) -> bool:
    return _place(before) != _place(after)


def _place(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # no URL, as will be said when it is validated
        return "", url, None
