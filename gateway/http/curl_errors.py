"""libcurl's error codes (https://curl.se/libcurl/c/libcurl-errors.html)."""

from __future__ import annotations

import pycurl

from domain.outcome import ErrorClass

E_PROXY = 97
"""CURLE_PROXY, which pycurl does not define."""
_E_SSL_CLIENTCERT = 98
"""CURLE_SSL_CLIENTCERT, which pycurl does not define."""

ERRORS = {
    pycurl.E_COULDNT_RESOLVE_HOST: ErrorClass.DNS,
    pycurl.E_COULDNT_CONNECT: ErrorClass.CONNECT,
    E_PROXY: ErrorClass.CONNECT,
    pycurl.E_OPERATION_TIMEDOUT: ErrorClass.TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: ErrorClass.TLS,
    pycurl.E_PEER_FAILED_VERIFICATION: ErrorClass.TLS,
    pycurl.E_SSL_CERTPROBLEM: ErrorClass.CERTIFICATE,
    _E_SSL_CLIENTCERT: ErrorClass.TLS,
    pycurl.E_SSL_CIPHER: ErrorClass.TLS,
    pycurl.E_SSL_ISSUER_ERROR: ErrorClass.TLS,
    pycurl.E_SSL_INVALIDCERTSTATUS: ErrorClass.TLS,
    pycurl.E_SEND_ERROR: ErrorClass.RESET,
    pycurl.E_RECV_ERROR: ErrorClass.RESET,
    pycurl.E_GOT_NOTHING: ErrorClass.RESET,
    pycurl.E_PARTIAL_FILE: ErrorClass.RESET,
    pycurl.E_SEND_FAIL_REWIND: ErrorClass.RESET,
    pycurl.E_HTTP2: ErrorClass.RESET,
    pycurl.E_OUT_OF_MEMORY: ErrorClass.INTERNAL,
    pycurl.E_FAILED_INIT: ErrorClass.INTERNAL,
    pycurl.E_SSL_CACERT_BADFILE: ErrorClass.INTERNAL,
    pycurl.E_ABORTED_BY_CALLBACK: ErrorClass.INTERNAL,
}
"""Error classes by code; any other code is PROTOCOL."""

TLS_ERRORS = frozenset(code for code, error in ERRORS.items() if error in (ErrorClass.TLS, ErrorClass.CERTIFICATE))
"""Codes of a failed TLS handshake."""
