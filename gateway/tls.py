"""TLS to RabbitMQ and MongoDB: which certificates count, and why a handshake failed."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

import certifi


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files in PEM form: the CA certificates to trust, and the certificate to show with its key. `key` is empty where
    the certificate's file holds it; without `ca`, the CAs of the system count."""

    ca: str = ""
    certificate: str = ""
    key: str = ""

    @property
    def trusted(self) -> str:
        """The file of the CA certificates."""
        return self.ca or ssl.get_default_verify_paths().cafile or certifi.where()

    @property
    def shown(self) -> tuple[str, str] | None:
        """The files of our certificate and its key; None when we show none."""
        return (self.certificate, self.key or self.certificate) if self.certificate else None

    def context(self) -> ssl.SSLContext:
        """A context that verifies certificate and host name. Raises ValueError with a sentence that follows the name of
        the file that was given last."""
        context = _read("CA certificate", lambda: ssl.create_default_context(cafile=self.trusted))
        if shown := self.shown:
            _read("certificate and its key", lambda: context.load_cert_chain(*shown, password=_no_password))
        return context


def _no_password() -> str:
    raise ValueError("holds a key that is encrypted: decrypt it (openssl pkey -in … -out …)")


def _read(what: str, read: Callable[[], ssl.SSLContext | None]) -> ssl.SSLContext:
    try:
        found = read()
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise ValueError("is not the key of the certificate") from None
        raise ValueError(f"names a file without a {what} in PEM form") from None
    except OSError as exc:
        raise ValueError(f"names a file that cannot be read: {exc.strerror}") from None
    return found or ssl.create_default_context()


_REASONS = (
    ("hostname mismatch|ip address mismatch", "the certificate is for another host name: {}"),
    ("certificate has expired|not yet valid", "the certificate is not valid now: {}"),
    ("certificate verify failed", "the certificate is not trusted: {}"),
    ("alert.*(certificate required|bad certificate|handshake failure|unknown ca|certificate unknown|access denied)",
     "the other side rejects our client certificate, or wants one: {}"),
    ("wrong version number|record layer failure|packet length too long", "the port does not speak TLS"),
)  # fmt: skip


def tls_problem(exc: BaseException | str) -> str | None:
    """Return why TLS failed, as the end of a sentence; None when `exc` (or its text, for drivers that keep no more) is
    of another kind. OpenSSL's words hold no credentials."""
