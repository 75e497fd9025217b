"""Endpoints: the URL of requests, and libcurl's options for all requests to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import pycurl

from delivery.kept_answer import KEPT
from domain.auth import AwsSigV4Auth
from domain.consumer import ConsumerSpec
from domain.outcome import Answer
from domain.tls import TargetTls
from domain.url_template import UrlTemplate

READ_LIMIT = 64 * 1024
"""Maximum bytes to read of an answer's body. Then the connection is closed; the status remains valid."""
LIST_LIMIT = 1024 * 1024
"""The same for an answer that names the failed messages of a batch."""

_DOT_SEGMENT = re.compile(r"/(\.|%2e){1,2}([/?]|$)", re.IGNORECASE)
"""A segment of a path that libcurl removes (RFC 3986 §5.2.4)."""

Done = Callable[[Answer], None]
Option = tuple[int, Any]
"""An option of libcurl and its value."""


class Endpoint(NamedTuple):
    """A URL, and how to send requests to it. Times are in seconds. `kept` is the number of bytes to keep of an answer's
    body."""

    url: UrlTemplate
    method: str
    timeout: float
    connect_timeout: float
    kept: int
    options: tuple[Option, ...] = ()
    typed: bool = False
    """whether to keep the content type of an answer"""
    read_limit: int = READ_LIMIT

    @property
    def plain(self) -> bool:
        """Whether requests need nothing of libcurl: no TLS, no credentials that it adds, no change of the URL."""
        url = self.url
        return url.target.scheme == "http" and not (url.user_info or self.options or _DOT_SEGMENT.search(url))

    @classmethod
    def of(cls, spec: ConsumerSpec) -> Self:
        """Return the endpoint of a consumer's target."""
        limit = LIST_LIMIT if spec.batch and spec.batch.answers == "each" else READ_LIMIT
        kept = limit if spec.reply or limit is LIST_LIMIT else KEPT
        options = (*_tls(spec.tls), *_aws(spec.auth))
        return cls(spec.url, spec.method, spec.timeout, spec.connect_timeout, kept, options, spec.reply, limit)


def _tls(tls: TargetTls | None) -> list[Option]:
    if tls is None:
        return []
    key = tls.key.get_secret_value() if tls.key else None
    blobs = (pycurl.CAINFO_BLOB, tls.ca), (pycurl.SSLCERT_BLOB, tls.certificate), (pycurl.SSLKEY_BLOB, key)
    return [(option, pem.encode()) for option, pem in blobs if pem]


def _aws(auth: object) -> list[Option]:
    """Return the options with which libcurl signs each request and its body
    (https://curl.se/libcurl/c/CURLOPT_AWS_SIGV4.html)."""
    if not isinstance(auth, AwsSigV4Auth):
        return []
    return [
        (pycurl.AWS_SIGV4, f"aws:amz:{auth.region}:{auth.service}"),
        (pycurl.USERNAME, auth.access_key_id),
        (pycurl.PASSWORD, auth.secret_access_key.get_secret_value()),
    ]
