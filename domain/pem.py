"""Parses certificates and private keys in PEM form (RFC 7468)."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

LONGEST = 64 * 1024
"""Maximum number of characters in a PEM text."""


def private_key(pem: str) -> PrivateKeyTypes:
    """Return the private key. Raises ValueError with a predicate ("must be …") that contains no part of the key."""
    try:
        return load_pem_private_key(pem.encode(), None)
    except TypeError:
        raise ValueError("must not be encrypted; the service encrypts it before it stores it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("must be a private key in PEM form: -----BEGIN PRIVATE KEY-----…") from None


def certificates(pem: str) -> list[x509.Certificate]:
    """Return the certificates, in order. Raises ValueError with a predicate ("must be …")."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise ValueError("must be certificates in PEM form: -----BEGIN CERTIFICATE-----…") from None


def belong_together(certificate: x509.Certificate, key: PrivateKeyTypes) -> bool:
    """Return whether the certificate has the public key of the private key."""
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)
