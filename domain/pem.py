"""Certificates and private keys as PEM (RFC 7468), read once where a client sends them."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

LONGEST = 64 * 1024
"""Characters of one PEM text."""


def private_key(pem: str) -> PrivateKeyTypes:
    """Return the private key. Raises ValueError with the rest of a sentence, never with a part of the key."""
    try:
        return load_pem_private_key(pem.encode(), None)
    except TypeError:
        raise ValueError("must not be encrypted: it is encrypted where it is stored") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must be a private key in PEM form: -----BEGIN PRIVATE KEY-----…") from None


def certificates(pem: str) -> list[x509.Certificate]:
    """Return the certificates, in their order. Raises ValueError with the rest of a sentence."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise ValueError("must be certificates in PEM form: -----BEGIN CERTIFICATE-----…") from None


def belong_together(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    """Return whether the certificate is that of the key."""
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
