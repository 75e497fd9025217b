"""The outcome of a delivery attempt: how the service classifies an answer, or the lack of one."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Outcome(Enum):
    SUCCESS = "success"
    """ack"""
    RETRY = "retry"
    """a confirmed copy in the delay levels, then ack; when no attempt is left: as REJECT"""
    THROTTLE = "throttle"
    """back to its queue, uncharged: the target asks all its consumers to pause"""
    REJECT = "reject"
    """a confirmed copy in the dead-letter queue, then ack"""
    UNSENT = "unsent"
    """back to its queue, uncharged: the service could not send it, and neither message nor target is at fault"""
    SUSPEND = "suspend"
    """back to its queue, uncharged: the consumer is misconfigured, not the message"""


class ErrorClass(Enum):
    """Why there was no usable answer."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    RESET = "reset"
    BLOCKED = "blocked"
    """the target guard refused the address"""
    PROTOCOL = "protocol"
    """what came back is not HTTP"""
    UNSENDABLE = "unsendable"
    """no request can be made of the message, as when it lacks a value that the URL needs"""
    TOKEN = "token"
    """the OAuth 2 token endpoint gave no token"""
    TOKEN_REFUSED = "token-refused"
    """the OAuth 2 token endpoint refused the consumer's credentials"""
    CERTIFICATE = "certificate"
    """a certificate of the consumer has expired, or libcurl cannot use it"""
    PROXY = "proxy"
    """the egress proxy failed, or refused to pass the request on"""


NEVER_ASKED = frozenset({
    ErrorClass.BLOCKED, ErrorClass.UNSENDABLE, ErrorClass.TOKEN, ErrorClass.TOKEN_REFUSED, ErrorClass.CERTIFICATE,
    ErrorClass.PROXY,
})  # fmt: skip
"""Errors of ours: the target has not heard of the message."""

HOPELESS = frozenset({ErrorClass.TOKEN_REFUSED, ErrorClass.CERTIFICATE})
"""Errors that only a change of the consumer ends."""


class Answer(NamedTuple):
    """What came back from a target: a status, or the class of the error. `seconds` is how long it took, `retry_after`
    how many seconds the target asked us to wait."""

    status: int | None
    error: ErrorClass | None
    detail: str
    seconds: float
    retry_after: float | None = None
    body: bytes = b""
    """the first kilobyte; as much as was read, where it is to be a reply"""
    content_type: str | None = None

    @property
    def reason(self) -> str:
        """One phrase for logs, headers and people: `HTTP 503`, or `timeout: Operation timed out after …`."""
        if self.status is not None:
            return f"HTTP {self.status}"
        kind = self.error.value if self.error else "error"
        return f"{kind}: {self.detail}" if self.detail else kind
