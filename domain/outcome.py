"""The outcome of a delivery attempt: the class of an answer, or of its absence."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Outcome(Enum):
    __hash__ = object.__hash__  # which is not Python code, as Enum's is

    SUCCESS = "success"
    """ack"""
    RETRY = "retry"
    """publish a copy to the delay levels, ack after its confirm; if no attempt is left, as REJECT"""
    THROTTLE = "throttle"
    """give back: the target asks all its consumers to pause"""
    REJECT = "reject"
    """publish a copy to the dead-letter queue, ack after its confirm"""
    UNSENT = "unsent"
    """give back and rest: the service could not send the message, and neither the message nor the target is the
    cause"""
    SUSPEND = "suspend"
    """give back: the consumer's configuration is wrong; if others succeed, charge the message like a retry"""
    FILTERED = "filtered"
    """settle by the consumer's `otherwise`: the message does not match its filter"""
    ROUTED = "routed"
    """publish to the queue of a route, ack after the confirm: the consumer has routes"""


class ErrorClass(Enum):
    """Reasons for which there was no usable answer."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    BLOCKED = "blocked"
    """the target guard refused the address"""
    PROTOCOL = "protocol"
    """the answer is not HTTP"""
    UNSENDABLE = "unsendable"
    """no request can be built from the message, for example because it lacks a value that the URL needs"""
    FILTERED = "filtered"
    """the message does not match the consumer's filter"""
    ROUTED = "routed"
    """the consumer has routes, and one of them sends the message"""
    TEMPLATE = "template"
    """the template of the consumer's payload has a syntax error"""
    TOKEN = "token"
    """the OAuth 2 token endpoint gave no token"""
    TOKEN_REFUSED = "token-refused"
    """the OAuth 2 token endpoint refused the consumer's credentials"""
    CERTIFICATE = "certificate"
    """a certificate of the consumer has expired, or libcurl cannot use it"""
    PROXY = "proxy"
    """the egress proxy failed, or refused to forward the request"""
    INTERNAL = "internal"
    """the service itself failed, for example because it has no file descriptor left"""


NEVER_ASKED = frozenset({
    ErrorClass.BLOCKED, ErrorClass.UNSENDABLE, ErrorClass.FILTERED, ErrorClass.ROUTED, ErrorClass.TEMPLATE,
    ErrorClass.TOKEN, ErrorClass.TOKEN_REFUSED, ErrorClass.CERTIFICATE, ErrorClass.PROXY, ErrorClass.INTERNAL,
})  # fmt: skip
"""Errors that say nothing about the target, because no request reached it, or the service failed."""

HOPELESS = frozenset({ErrorClass.TOKEN_REFUSED, ErrorClass.CERTIFICATE})
"""Errors that persist until the consumer is changed."""


class Answer(NamedTuple):
    """A target's answer: its status, or the class of the error. `seconds` is the duration of the request, `retry_after`
    the pause in seconds that the target asked for."""

    status: int | None
    error: ErrorClass | None
    detail: str
    seconds: float
    retry_after: float | None = None
    body: bytes = b""
    """the first 4 KiB; all that was read if the consumer replies, or if the answer names the failed of a batch"""
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """the KEPT_HEADERS of a status from 300 on, with names in lower case"""
    truncated: bool = False
    """whether the target sent a longer body than `body`"""

    @property
    def reason(self) -> str:
        """One phrase for logs, headers and the API: `HTTP 503`, or `timeout: no answer within 30 s`."""
        kind = self.error.value if self.error else "error"
        if self.status is not None:
            kind = f"HTTP {self.status}"
        return f"{kind}: {self.detail}" if self.detail else kind
