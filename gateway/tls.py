"""TLS to RabbitMQ and MongoDB: trusted certificates, and the reasons of failed handshakes."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

import certifi


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: CA certificates to trust, and a client certificate with its key. Without `ca` the system's CAs are
    trusted; without `key` the certificate's file contains the key."""

    ca: str = ""
    certificate: str = ""
    key: str = ""

    @property
    def trusted(self) -> str:
        """The file of the trusted CA certificates."""
        return self.ca or ssl.get_default_verify_paths().cafile or certifi.where()

    @property
    def shown(self) -> tuple[str, str] | None:
        """The files of the client certificate and its key; None without a client certificate."""
        return (self.certificate, self.key or self.certificate) if self.certificate else None

    def context(self) -> ssl.SSLContext:
        """Return a client context that checks the server's certificate and host name. Raises ValueError with a
        predicate that follows the name of the last setting that is not empty."""
        try:
            context = ssl.create_default_context(cafile=self.trusted)
            if self.shown:
                context.load_cert_chain(*self.shown, password=_refuse_encrypted_key)
        except ssl.SSLError as exc:
            what = "certificate and its key" if self.shown else "CA certificate"
            mismatch = exc.reason == "KEY_VALUES_MISMATCH"
            raise ValueError(
                "is not the key of the certificate" if mismatch else f"holds no {what} in PEM form"
            ) from None
        except OSError as exc:
            raise ValueError(f"names a file that cannot be read: {exc.strerror}") from None
        return context


def _refuse_encrypted_key() -> str:
    raise ValueError("holds an encrypted key. Decrypt it: `openssl pkey -in FILE -out FILE`")


_OPENSSL = re.compile(r"\[SSL: (?P<code>\w+)\] (?P<text>.*?)\.? *\(_ssl\.c")
"""Python's text of an OpenSSL error, which pika, requests and pymongo quote in their own errors."""
_OUR_CERTIFICATE = re.compile(
    "ALERT_(CERTIFICATE|BAD_CERT|UNSUPPORTED_CERT|UNKNOWN_CA|HANDSHAKE|ACCESS_DENIED|NO_CERT)"
)
_NOT_TLS = re.compile(
    "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNEXPECTED_MESSAGE"
)
_NOT_FOR_A_CA = re.compile("mismatch|expired|not yet valid", re.IGNORECASE)


def tls_problem(text: str, ca_setting: str) -> str | None:
    """Return why TLS failed, as a phrase without a full stop, from an error's text; None if it is another error.
    `ca_setting` is the setting for the trusted CAs. OpenSSL's texts contain no credentials."""
    found = _OPENSSL.search(text)
    if found is None:
        return None
    code, said = found["code"], found["text"]
    if code == "CERTIFICATE_VERIFY_FAILED":
        why = said.partition(": ")[2] or said
        advice = "" if _NOT_FOR_A_CA.search(why) else f"; name the CA that signed it in {ca_setting}"
        return f"its certificate is not accepted: {why}{advice}"
    if _OUR_CERTIFICATE.search(code):
        return f"it requires a client certificate or refuses ours: {said}"
    if _NOT_TLS.search(code):
        return f"its port does not speak TLS: {said}"
    return f"TLS fails: {said}"
